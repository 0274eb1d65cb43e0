"""A model at work: images, videos and cameras in, the class of each pixel and pictures of it out."""
