--- mcl completion SHELL: a script that completes commands, recipes and options, made from their parsers.
local common = require "mcl.commands.common"

local makers = { bash = "get_bash_complete", zsh = "get_zsh_complete", fish = "get_fish_complete" }

return function(new)
  local parser = new("completion", "Completions for a shell, to be sourced.",
    "  mcl completion bash >~/.local/share/bash-completion/completions/mcl\n"
    .. "  mcl completion fish >~/.config/fish/completions/mcl.fish")
  parser:argument("shell"):choices({ "bash", "zsh", "fish" })
  return parser, function(args)
    local tree = common.tree()
    io.write(tree[makers[args.shell]](tree))
  end
end
