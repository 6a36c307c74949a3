//! A step whose effect and checkpoint are one commit.

use serde::{Serialize, de::DeserializeOwned};

use super::Context;
use crate::{
    db::{PgConnection, writes::Write},
    error::TaskError,
    payload::{decode, encode},
};

impl Context {
    /// Runs `work` in a transaction on the engine's database and keeps what it returns in the
    /// same transaction: its effects there happen exactly once.
    ///
    /// ```
    /// # use absurd_sdk::prelude::*;
    /// # async fn f(ctx: &mut Context) -> TaskResult<()> {
    /// let rows: i64 = ctx
    ///     .transaction("register", async |tx| {
    ///         let insert = sqlx::query("insert into images (name) values ('a')");
    ///         let inserted = insert.execute(&mut *tx).await?;
    ///         Ok::<_, sqlx::Error>(inserted.rows_affected() as i64)
    ///     })
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn transaction<T, E, F>(
        &mut self,
        name: impl AsRef<str>,
        work: F,
    ) -> Result<T, TaskError>
    where
        T: Serialize + DeserializeOwned,
        E: Into<TaskError>,
        F: AsyncFnOnce(&mut PgConnection) -> Result<T, E>,
    {
        let name = Self::checked(name.as_ref())?;
        let name = self.enter(name.as_str()).await?;
        let what = || format!("the result of step `{name}`");
        if let Some(stored) = self.checkpoints.get(&name) {
            return Ok(decode(what, stored)?);
        }
        self.reporter.enter_step(&name);
        let begun = self.store.begin().await;
        let mut tx = begun.map_err(|refusal| self.refused(refusal))?;
        let value = work(tx.connection()).await.map_err(Into::into)?;
        let state = encode(what, &value)?;
        let value = decode(what, &state)?;
        let write = Write::Checkpoint {
            run: self.run_id(),
            task: self.task_id(),
            step: name.clone(),
            place: self.place(),
            state: state.clone(),
            extend: 0,
        };
        let kept = self.store.write_on(tx.connection(), write).await;
        kept.map_err(|refusal| self.refused(refusal))?;
        tx.commit().await?;
        self.reporter.leave_step();
        self.checkpoints.insert(name, state);
        Ok(value)
    }
}
