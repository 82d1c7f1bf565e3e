"""How the models of one design are trained, matched."""
