"""The nodes that come with flowcore, one file each; their names in graphs are their file names."""
