"""The engines that `verydeep bench` compares, one file each: a network and an image in, a call that computes out."""
