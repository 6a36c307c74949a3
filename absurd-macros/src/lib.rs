//! The #[task] attribute of absurd-sdk.
