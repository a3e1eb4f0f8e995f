//! What is left of a journal that was taken over.
