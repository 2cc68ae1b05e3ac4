"""The playground: a page that trains the three learners in the browser."""
