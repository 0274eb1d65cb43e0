"""A chosen model as a folder that runs without segsearch: files, what they are fed, where they come from."""
