//! Mosaics by themselves: windows slide over the groups of the registry, and each window is put
//! together once.

use std::collections::BTreeMap;

use absurd_sdk::{
    Client, TaskId,
    prelude::{Context, Deserialize, JsonSchema, Serialize, State, TaskError, TaskResult, task},
};

use super::{
    mosaic::{MosaicOrder, create_mosaic},
    stages::finally,
};
use crate::{
    model::{GroupId, Seconds},
    registry::{
        self, FinishedGroup, PgConnection, RegistryError, claim_windows, finished_groups,
        is_window_submitted, record_window,
    },
    science::{Window, WindowRules, windows},
};

/// More groups are in no mosaic of the documents' tiers that is made while one observes; and
/// the names of more would not fit into an index.
const SIZE_MAX: usize = 100;

/// Which windows are to become mosaics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WindowsOrder {
    /// Groups of a mosaic, 100 at most.
    pub size: usize,
    /// How many of them the mosaic before has as well.
    pub overlap: usize,
    /// Groups that begin further apart are not neighbours.
    pub largest_gap_sec: f64,
    /// A window that lacks groups is put together when none was added to it for so long.
    pub wait_sec: f64,
    /// A window whose groups all were imaged longer ago is left alone: a group that comes late
    /// moves the windows after it, and must not make weeks of mosaics anew.
    pub recent_days: f64,
}

impl Default for WindowsOrder {
    /// The telescope's windows, six hours of patience, and a week.
    fn default() -> Self {
        Self {
            size: 10,
            overlap: 2,
            largest_gap_sec: 360.0,
            wait_sec: 6.0 * 3_600.0,
            recent_days: 7.0,
        }
    }
}

/// A window whose mosaic is being made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SubmittedWindow {
    /// Its groups.
    pub window: Window,
    /// The task `create-mosaic`.
    #[schemars(with = "String")]
    pub task_id: TaskId,
}

/// What was submitted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SubmittedWindows {
    /// The windows, in the order of time.
    pub submitted: Vec<SubmittedWindow>,
    /// Windows that may still get groups.
    pub waiting: usize,
}

/// Forms the windows over all groups of the registry, and spawns `create-mosaic` for each that is
/// complete, or has waited long enough for what it lacks. No window is submitted twice, whoever
/// looks and however often.
#[task(name = "mosaic-windows", retry = exponential("5s", max = "5m"))]
pub async fn mosaic_windows(
    ctx: &mut Context,
    order: WindowsOrder,
    client: State<Client>,
) -> TaskResult<SubmittedWindows> {
    let rules = rules(&order)?;
    let client = client.on_queue(ctx.queue().as_str())?;
    // Spawns, memory and checkpoint are one commit.
    ctx.transaction("submit", async |tx| {
        claim_windows(tx).await.map_err(refused)?;
        let finished = finished_groups(tx).await.map_err(refused)?;
        let (due, waiting) = due(&finished, &rules, &order);
        let mut submitted = Vec::new();
        for window in due {
            if !is_window_submitted(tx, &window).await.map_err(refused)? {
                submitted.push(submit(tx, &client, window).await?);
            }
        }
        Ok::<_, TaskError>(SubmittedWindows { submitted, waiting })
    })
    .await
}

fn rules(order: &WindowsOrder) -> TaskResult<WindowRules> {
    if order.size > SIZE_MAX {
        let many = format!("size is {}; give {SIZE_MAX} at most", order.size);
        return Err(TaskError::terminal(TaskError::msg(many)));
    }
    let gap = Seconds(order.largest_gap_sec);
    WindowRules::new(order.size, order.overlap, gap).map_err(TaskError::terminal)
}

fn refused(error: RegistryError) -> TaskError {
    finally(error.is_permanent(), error)
}

async fn submit(
    connection: &mut PgConnection,
    client: &Client,
    window: Window,
) -> TaskResult<SubmittedWindow> {
    let mosaic = MosaicOrder {
        groups: window.groups.clone(),
        ..MosaicOrder::default()
    };
    let key = format!("create-mosaic:{}", registry::window_name(&window));
    let spawn = client.spawn(create_mosaic, mosaic).idempotency_key(key);
    let task_id = spawn.on(&mut *connection).await?.task_id();
    record_window(connection, &window, task_id)
        .await
        .map_err(refused)?;
    Ok(SubmittedWindow { window, task_id })
}

/// The windows whose time has come, and how many others may still get groups.
fn due(
    finished: &[FinishedGroup],
    rules: &WindowRules,
    order: &WindowsOrder,
) -> (Vec<Window>, usize) {
    let known: BTreeMap<GroupId, &FinishedGroup> = finished
        .iter()
        .map(|finished| (finished.group, finished))
        .collect();
    let groups: Vec<GroupId> = known.keys().copied().collect();
    let (mut due, mut waiting) = (Vec::new(), 0);
    for window in windows(&groups, rules) {
        let members = || window.groups.iter().filter_map(|group| known.get(group));
        let quiet = members().map(|member| member.age.0);
        let quiet = quiet.fold(f64::INFINITY, f64::min);
        if quiet > order.recent_days * 86_400.0 || !members().all(|member| member.is_present) {
            continue;
        }
        if window.complete || quiet >= order.wait_sec {
            due.push(window);
        } else {
            waiting += 1;
        }
    }
    (due, waiting)
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, civil::date};

    use super::*;

    const HOUR: f64 = 3_600.0;

    /// Groups of a night by their numbers, each imaged so many hours ago.
    fn night(groups: &[(i64, f64)]) -> Vec<FinishedGroup> {
        let evening = date(2026, 1, 26).at(3, 0, 0, 0);
        let group = |number: i64| evening.saturating_add(SignedDuration::from_secs(309 * number));
        let groups = groups.iter();
        groups
            .map(|(number, hours)| FinishedGroup {
                group: group(*number).into(),
                is_present: true,
                age: Seconds(hours * HOUR),
            })
            .collect()
    }

    /// How many groups the windows have that are due, and how many wait.
    fn sizes(finished: &[FinishedGroup]) -> (Vec<usize>, usize) {
        let (due, waiting) = due(finished, &WindowRules::default(), &WindowsOrder::default());
        (
            due.iter().map(|window| window.groups.len()).collect(),
            waiting,
        )
    }

    #[test]
    fn what_lacks_groups_waits_for_its_youngest() {
        let mut finished = night(&[(0, 9.0), (1, 9.0), (2, 5.9)]);
        assert_eq!(sizes(&finished), (vec![], 1));
        finished[2].age = Seconds(6.0 * HOUR);
        assert_eq!(sizes(&finished), (vec![3], 0));
    }

    #[test]
    fn a_complete_window_does_not_wait() {
        let groups: Vec<_> = (0..18).map(|number| (number, 0.0)).collect();
        assert_eq!(sizes(&night(&groups)), (vec![10, 10], 0));
    }

    #[test]
    fn old_windows_are_left_alone_and_others_stay_where_they_are() {
        let day = |number: i64| if number < 10 { 24.0 * 8.0 } else { 0.0 };
        let groups: Vec<_> = (0..18).map(|number| (number, day(number))).collect();
        let mut finished = night(&groups);
        assert_eq!(sizes(&finished), (vec![10], 0), "the second one is young");
        // Its first two groups are the last ones of the window before; what goes before them
        // does not move it, and one of its own that goes makes it impossible.
        finished[0].is_present = false;
        assert_eq!(sizes(&finished), (vec![10], 0));
        finished[17].is_present = false;
        assert_eq!(sizes(&finished), (vec![], 0));
    }

    #[test]
    fn windows_that_stand_still_or_are_too_large_are_refused() {
        for (size, overlap, said) in [(2, 2, "greater than the overlap"), (101, 2, "100 at most")] {
            let order = WindowsOrder {
                size,
                overlap,
                ..WindowsOrder::default()
            };
            let refused = rules(&order).err().unwrap();
            let text = refused.to_string();
            assert!(refused.is_terminal() && text.contains(said), "{text}");
        }
    }
}
