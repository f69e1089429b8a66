//! Datasets: where they are, how they are read, how they are fetched.
