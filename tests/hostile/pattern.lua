-- A pattern that takes exponential time.
-- ends: anyhow
(("a"):rep(40)):find((".-"):rep(30) .. "b")
