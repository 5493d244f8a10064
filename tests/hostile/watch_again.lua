-- The hook that counts is set anew, over and over.
-- ends: anyhow
while true do require"mcl.core".watch() end
