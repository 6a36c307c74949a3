//! Chains: tasks in a row, each given its predecessor's result in the transaction in which that
//! one completes.

use std::marker::PhantomData;

use serde_json::{Map, Value, json};

use super::{Client, Spawn, SpawnOptions};
use crate::{
    error::Error,
    payload,
    task::{OutputOf, ParamsOf, TaskDef as _, TaskFn},
};

/// A row of tasks: given `In`, the last one returns `Out`.
///
/// ```
/// # use absurd_sdk::prelude::*;
/// # #[task] async fn convert(ctx: &mut Context, file: String) -> TaskResult<u64> { Ok(1) }
/// # #[task] async fn image(ctx: &mut Context, rows: u64) -> TaskResult<bool> { Ok(true) }
/// # async fn run(client: Client) -> Result<(), Error> {
/// let night = client.chain("night", convert).then(image);
/// night.spawn("a.uvh5".into()).await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a chain begins with `spawn`"]
pub struct Chain<'c, In, Out> {
    client: &'c Client,
    name: String,
    links: Vec<(String, SpawnOptions)>,
    types: PhantomData<fn(In) -> Out>,
}

impl Client {
    /// A chain that begins with a task.
    pub fn chain<F: TaskFn<M>, M>(
        &self,
        name: impl Into<String>,
        first: F,
    ) -> Chain<'_, ParamsOf<F, M>, OutputOf<F, M>> {
        let chain: Chain<'_, ParamsOf<F, M>, ParamsOf<F, M>> = Chain {
            client: self,
            name: name.into(),
            links: Vec::new(),
            types: PhantomData,
        };
        chain.then(first)
    }
}

impl<'c, In: serde::Serialize, Out> Chain<'c, In, Out> {
    /// The next task, which is given what the one before returns.
    pub fn then<F, M>(mut self, task: F) -> Chain<'c, In, OutputOf<F, M>>
    where
        F: TaskFn<M>,
        F::Task: crate::task::TaskDef<Params = Out>,
    {
        let _ = task;
        let options = SpawnOptions::with_defaults(F::Task::defaults());
        self.links.push((F::Task::NAME.to_owned(), options));
        Chain {
            client: self.client,
            name: self.name,
            links: self.links,
            types: PhantomData,
        }
    }

    /// Options of the task that was added last.
    pub fn with(mut self, change: impl FnOnce(&mut SpawnOptions)) -> Self {
        if let Some((_, options)) = self.links.last_mut() {
            change(options);
        }
        self
    }

    /// Spawns the first task. It is the one whose handle is returned; the others follow one by
    /// one. When one of them fails, those after it are not spawned, and a retry goes on with
    /// the chain.
    pub fn spawn(self, params: In) -> Spawn<'c, Value> {
        let params = payload::encode(|| format!("the params of chain `{}`", self.name), &params);
        match self.prepare() {
            Ok((name, mut options, policy)) => {
                options.family.insert("chain".into(), policy);
                Spawn::of(self.client, name, params.map_err(Error::from), options)
            }
            Err(error) => Spawn::of(self.client, self.name, Err(error), SpawnOptions::default()),
        }
    }

    fn prepare(&self) -> Result<(String, SpawnOptions, Value), Error> {
        let mut links = self.links.iter();
        let Some((name, options)) = links.next() else {
            let problem = "it has no task".into();
            return Err(Error::Option {
                option: "chain",
                problem,
            });
        };
        let link = |(name, options): &(String, SpawnOptions)| -> Result<Value, Error> {
            let prepared = self.client.prepare_spawn(name, options.clone())?;
            Ok(json!({
                "name": name, "queue": prepared.queue.as_str(), "options": prepared.options,
            }))
        };
        let links = links.map(link).collect::<Result<Vec<_>, _>>()?;
        let chain = Map::from_iter([
            ("name".to_owned(), json!(self.name)),
            ("links".to_owned(), Value::Array(links)),
        ]);
        Ok((name.clone(), options.clone(), Value::Object(chain)))
    }
}
