"""Looking at a folder that somebody has: which files are images and masks, what the masks say, who is held out."""
