"""From raw corpora to a tokenised dataset: one loader a corpus, and `python -m data_scripts.prepare`."""
