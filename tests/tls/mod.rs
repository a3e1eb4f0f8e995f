//! TLS with servers that are not ours.

mod openssl;
