require "mcl"
local report = require "mcl.report"
local core = require "mcl.core"

local function record()
  local layers = {}
  for i, name in ipairs { "conv1.weight", "fc1 <b>" } do
    layers[i] = {
      name = name, op = "conv", shape = { 4, 1, 5, 5 }, representation = "sparse 10 % of (palette 16)", density = 0.1,
      bits = 1.5, coder = "huffman", bytes = { dense = 400, packed = 90, coded = 60, file = 80 },
    }
  end
  return {
    command = "mcl magnitude 'a & b.bin'", recipe = "recipes/magnitude.lua", about = "Prune & train",
    model = "a & b.bin", options = { density = 0.1, bits = { 2, 4 } }, seed = 3, output = "out/net.mcl",
    data = "fashion-mnist", version = "0.1.0", dense_bytes = 800, seconds = 61, layers = layers,
    before = { bytes = 900, accuracy = 0.9, loss = 0.3 },
    after = { bytes = 200, accuracy = 0.91, loss = 0.2, ratio = 4 },
    steps = {
      { name = "first", bytes = 500, accuracy = 0.8, seconds = 1 },
      { name = "second", bytes = 200, accuracy = 0.9, seconds = 2 },
    },
  }
end

describe("the report as a page", function()
  it("needs nothing from outside", function()
    local html = report.html(record())
    assert.is_nil(html:match "https?:")
    assert.is_nil(html:match "<script")
    assert.is_nil(html:match "@import")
    assert.is_nil(html:match "src%s*=")
  end)

  it("shows sizes, steps, options, seed and command", function()
    local html = report.html(record())
    local texts = { "200", "4.0×", "91.00 %", "first", "second", "option density", "2,4", "seed", "<svg", "1 min 01" }
    for _, text in ipairs(texts) do
      assert.matches(text, html, 1, true)
    end
  end)

  it("escapes what is not its own", function()
    local html = report.html(record())
    assert.matches("fc1 &lt;b&gt;", html, 1, true)
    assert.matches("mcl magnitude &#39;a &amp; b.bin&#39;", html, 1, true)
    assert.is_nil(html:find("fc1 <b>", 1, true))
  end)

  it("has bars as long as the bytes they stand for", function()
    local one = record()
    one.layers[2].bytes = { dense = 400, packed = 50, coded = 30, file = 40 }
    local widths = {}
    for width in report.html(one):gmatch '<rect class="a" x="150" y="%d+" width="([%d.]+)"' do
      widths[#widths + 1] = tonumber(width)
    end
    assert.equal(2, #widths)
    assert.is_true(math.abs(widths[1] / widths[2] - 2) < 0.01)
  end)

  it("does without data", function()
    local one = record()
    one.before, one.after, one.data, one.steps = { bytes = 900 }, { bytes = 200, ratio = 4 }, nil, {}
    assert.matches("none", report.html(one), 1, true)
  end)
end)

describe("what is measured for the report", function()
  local measure = require "mcl.measure"
  local mcl = require "mcl"
  local support = dofile "spec/support.lua"

  it("counts every weight once: in a bin, or among the zeros", function()
    local model = support.mlp()
    model:compress { fc1 = mcl.prune { density = 0.5 } .. mcl.share { bits = 2 } }
    local weights = measure.weights(model)
    for i, layer in ipairs(model:layers()) do
      local sum = weights[i].zeros
      for _, count in ipairs(weights[i].histogram) do
        assert.is_true(count >= 0)
        sum = sum + count
      end
      assert.equal(layer.count, sum)
    end
    assert.equal(24, weights[1].zeros)
    assert.equal(4, #weights[1].codebook)
    assert.is_nil(weights[2].codebook)
  end)

  it("says what plainer means take, of the model of before, which stays as it is", function()
    local model = support.convnet()
    local before = model:size()
    local beside = measure.beside(model)
    assert.equal(before, beside[2].bytes)
    assert.is_true(beside[3].bytes < beside[1].bytes)
    assert.equal("dense", model:layers()[1].representation.kind)
  end)

  it("lists the graph in running order", function()
    local graph = measure.graph(support.mlp())
    assert.same({ "fc1", "relu1", "fc2" }, { graph[1].name, graph[2].name, graph[3].name })
    assert.equal(48, graph[1].multiply_adds)
    assert.equal("relu1", graph[3].inputs[1])
  end)

  it("has its sections on the page, and names in them are escaped", function()
    local one = record()
    one.files = { { path = "a<b>.bin", bytes = 900, hash = "0123" } }
    one.beside = { { name = "dense, zstd 19", bytes = 400 } }
    one.classes = { { class = 0, count = 10, accuracy = 0.5 }, { class = 1, count = 0 } }
    one.epochs = { { fit = 1, epoch = 1, loss = 2 }, { fit = 2, epoch = 1, loss = 1, validation_accuracy = 0.75 } }
    one.weights = { { name = "<i>", least = -1, greatest = 1, zeros = 3, histogram = { 1, 2 }, codebook = { 0.5 } } }
    one.graph = { { name = "<u>", op = "relu", shape = { -1, 4 }, inputs = { "x" }, multiply_adds = 0 } }
    local html = report.html(one)
    local texts = {
      "a&lt;b&gt;.bin", "dense, zstd 19", "2.00", "50.00 %", "Training", "a codebook of 1",
      "&lt;i&gt;", "&lt;u&gt;", "n×4",
    }
    for _, text in ipairs(texts) do
      assert.matches(text, html, 1, true)
    end
    assert.is_nil(html:match "<[iu]>")
    assert.equal(one.beside[1].bytes, core.json_decode(report.json(one)).beside[1].bytes)
  end)
end)

describe("the report as JSON", function()
  it("holds the record", function()
    local back = core.json_decode(report.json(record()))
    assert.equal(200, back.after.bytes)
    assert.equal(0.1, back.options.density)
    assert.equal("second", back.steps[2].name)
    assert.equal(80, back.layers[1].bytes.file)
  end)
end)
