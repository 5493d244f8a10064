--- Recipes run by a host program (mcl_run_recipe in mcl.h): text, model and data come from C, and what comes of it is
-- the model that C lent.
local core = require "mcl.core"
local check = require "mcl.check"
local images = require "mcl.images"

local embed = {}

local SPLIT_SEED = 0x6d636c -- as for data named on the command line

-- The parts of a host's dataset: a tenth is held out to choose by. There is none to report on: that is the host's.
local Data = {}
Data.__index = Data

function Data:part(name)
  local whole = self.whole
  local choose = math.max(1, whole.count // 10)
  local fit = whole.count - choose
  if name == "choose" then return whole:part(SPLIT_SEED, fit, choose) end
  if name == "calibrate" then return whole:part(SPLIT_SEED, 0, math.min(1024, fit)) end
  return whole:part(SPLIT_SEED, 0, fit)
end

function Data:are_images(model)
  return images.are(self.whole:x_shape(), self.whole.x.dtype == "u8", model.core)
end

function Data:__tostring()
  return tostring(self.whole)
end

local function data_of(dataset)
  if not dataset then return nil end
  if dataset.count < 2 then check.fail("%d rows of data cannot be split", dataset.count) end
  return setmetatable({ whole = dataset }, Data)
end

--- Runs a recipe's text on a C model. settings: option → text.
function embed.run(source, name, object, dataset, settings, seed)
  local recipe = require("mcl.recipe")
  local chunk, message = load(source, "@" .. name, "t")
  if not chunk then error(message, 0) end
  local loaded = chunk()
  if not recipe.is(loaded) then error(name .. " does not return mcl.recipe{ … }", 0) end
  local options, wrong = loaded:resolve(settings)
  if not options then error(("%s: %s"):format(name, wrong), 0) end
  local model = require("mcl.model").wrap(object)
  local job = require("mcl.job").new(model, {
    data = data_of(dataset), seed = seed, log = function(text) core.log("info", text) end,
  })
  rawset(job, "progress", function(_, task, done, total) core.progress(task, done, total, "") end) -- the host's
  if loaded:follow(model, options, job) ~= model then
    error(name .. ": run returned another model; the host's is the result, so change the one that run is given", 0)
  end
  job:finish()
end

return embed
