"""From files on disk to batches of numbers: data sets, one image decoder, preprocessing, augmentation, batches."""
