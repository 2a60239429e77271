"""What stands in river's own classes, loaded by who needs one: river takes 2 s and 125 MB to import."""
