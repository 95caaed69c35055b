"""KFP pipelines: the graphs, where their steps run, and the command that compiles and runs them."""
