//! A seam for tests: who is told of every statement that goes to the database.

/// Hears of each statement by its name, in the order of sending.
///
/// The test kit records them (how many trips does a task cost?) and ends the
/// process between two of them (is anything lost?).
pub trait StatementObserver: Send + Sync + std::fmt::Debug {
    /// The statement is about to be sent.
    fn before(&self, statement: &'static str);
    /// The database has answered it, well or badly.
    fn after(&self, statement: &'static str);
}
