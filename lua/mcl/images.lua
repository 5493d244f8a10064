--- Are examples images, so that they may be shifted, turned and flipped? Their number of dimensions does not say it: a
-- signal or a table of numbers has as many. Pixels are stored in 8 bits, or a model looks at them through windows.
local images = {}

-- Does a window of more than one row and column move over the input before anything flattens it?
local function looks_through_windows(object)
  local weights = object:weights(true)
  for _, node in ipairs(object:nodes()) do
    local window
    if node.op == "conv" then
      window = { table.unpack(weights[node.weight].shape, 3) }
    elseif node.op == "max_pool" or node.op == "average_pool" then
      window = node.attributes.kernel
    elseif node.op == "linear" or node.op == "matmul" or node.op == "flatten" or node.op == "reshape" then
      return false
    end
    if window then return window[1] > 1 and window[2] > 1 end
  end
  return false
end

--- shape: of an example as the model takes it; is_stored_as_pixels: 8 bits a number, in rows and columns; object: the
-- model's C object.
function images.are(shape, is_stored_as_pixels, object)
  if #shape ~= 3 or shape[2] < 2 or shape[3] < 2 then return false end
  return is_stored_as_pixels or looks_through_windows(object)
end

return images
