"""Images: `images/*/Containerfile` and the workspace's wheels -> images, by whichever builder is there."""
