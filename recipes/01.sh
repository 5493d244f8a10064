mcl recipes                                  # those that come with mcl
mcl deep_compression --help                  # what one does, and its options
mcl recipes --show magnitude >mine.lua       # a start for one of your own
mcl mine.lua lenet5.bin --data fashion-mnist -o lenet5.mcl --set density=0.05
