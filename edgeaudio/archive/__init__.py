"""What is heard in an archive of recordings: a file of results for each, and answers about all of them."""
