//! Examples of absurd-sdk, one idea a file.
