//! Workers and their programs are killed at named moments: another worker finishes, no step that
//! was remembered runs again, and the products are those of a run that nobody disturbed.

use std::{fs, ops::Deref, path::PathBuf, time::Duration};

use absurd_sdk::{RetryPolicy, RunState, TaskHandle};
use absurd_test::eventually;
use measurement_set::MeasurementSet;
use pipeline_tasks::{
    io::{FitsImage, GainTable},
    tasks::{Entry, Group, Journal, Product, StageConfig, process_group, steps},
    tools::ImagingTier,
};
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    TestResult,
    killing::{Place, Site, is_alive, parts_in},
};

/// The programs of the field that `process-group` starts, and the steps they run in.
const PROGRAMS: [(&str, &str); 3] = [
    ("aoflagger", "flag"),
    ("wsclean", "image"),
    ("source-extractor", "validate"),
];
/// Two runs of `WSClean` on the same data differ by 5e-5 of the peak (measured on the shared
/// groups with 0.44 mJy of 8.1 Jy); threads that end in another order may do somewhat more.
const IMAGE_SPREAD: f64 = 5e-4;
/// What a program of a run that hangs may take: more than one that does not hang takes on a
/// machine that others keep busy.
const LIMIT: &str = "15";

/// One task, in a place of its own.
struct Run<'s> {
    place: Place<'s>,
    handle: TaskHandle<Product>,
}

impl<'s> Deref for Run<'s> {
    type Target = Place<'s>;

    fn deref(&self) -> &Place<'s> {
        &self.place
    }
}

impl<'s> Run<'s> {
    /// Spawns the site's group.
    async fn new(site: &'s Site, name: &str) -> TestResult<Self> {
        let group = Group {
            file_paths: site.files.clone(),
            config: StageConfig {
                imaging_tier: Some(ImagingTier::Development),
                ..StageConfig::default()
            },
        };
        let soon = RetryPolicy::fixed(Duration::from_millis(100));
        let spawn = site.client().spawn(process_group, group).retry(soon);
        Ok(Self {
            place: site.place(name)?,
            handle: spawn.await?,
        })
    }

    fn journal(&self) -> Vec<Entry> {
        let folder = self.output().join("work").join(&self.site.group);
        // Before the first step there is none.
        Journal::in_folder(folder).entries().unwrap_or_default()
    }

    async fn remembered(&self) -> TestResult<Vec<String>> {
        let task = self.handle.task_id();
        let kept = self.site.client().list_checkpoints(task, None, 100).await?;
        Ok(kept.into_iter().map(|kept| kept.checkpoint_name).collect())
    }

    /// Lets another worker finish after a kill, and checks what must hold then.
    async fn finish(&self, expected: &Expected) -> TestResult {
        let (remembered, before) = (self.remembered().await?, self.journal().len());
        let mut worker = self.worker("300")?;
        let product = self.handle.result().timeout("1m").await?;
        worker.kill().await?;
        for entry in self.journal().into_iter().skip(before) {
            assert!(
                !remembered.contains(&entry.step),
                "`{}` was remembered and ran again in attempt {}",
                entry.step,
                entry.attempt
            );
        }
        assert_eq!(parts_in(&self.output())?, Vec::<PathBuf>::new());
        expected.assert_same(&Expected::of(self, product)?);
        Ok(())
    }
}

/// The content of the products.
struct Expected {
    table: GainTable,
    flags: Vec<bool>,
    image: FitsImage,
    product: Product,
}

impl Expected {
    fn of(run: &Run<'_>, product: Product) -> TestResult<Self> {
        let tables = run.output().join("caltables");
        let set = MeasurementSet::open(&run.work(".ms"))?;
        assert!(set.has_column("CORRECTED_DATA")?);
        Ok(Self {
            table: GainTable::read(&tables.join(format!("{}.gains.h5", run.site.group)))?,
            flags: set.flags(0, set.row_count("")?)?,
            image: FitsImage::read(&product.image)?,
            product,
        })
    }

    /// Tables and flags are the same to the bit; images within `WSClean`'s own spread.
    fn assert_same(&self, other: &Self) {
        assert_eq!(self.table, other.table);
        assert!(self.flags == other.flags, "other flags");
        assert_eq!(
            self.product.outputs.calibration_quality,
            other.product.outputs.calibration_quality
        );
        let (one, two) = (&self.image.plane, &other.image.plane);
        let peak = one.values.iter().copied().fold(0.0, f32::max);
        assert_eq!((one.width, one.height), (two.width, two.height));
        let pixels = one.values.iter().zip(&two.values);
        let apart = pixels.map(|(one, two)| f64::from(one - two).abs());
        let apart = apart.fold(0.0, f64::max);
        assert!(
            apart <= IMAGE_SPREAD * f64::from(peak),
            "images differ by {apart} Jy of {peak} Jy"
        );
    }
}

async fn undisturbed(site: &Site) -> TestResult<Expected> {
    let run = Run::new(site, "undisturbed").await?;
    let mut worker = run.worker("300")?;
    let product = run.handle.result().timeout("1m").await?;
    worker.kill().await?;
    let ran: Vec<String> = run.journal().into_iter().map(|entry| entry.step).collect();
    assert_eq!(ran, steps());
    assert!(!product.sources.is_empty(), "an empty image proves nothing");
    Expected::of(&run, product)
}

#[tokio::test]
async fn a_worker_that_dies_after_any_step_loses_nothing() -> TestResult {
    let site = Site::new().await?;
    let expected = undisturbed(&site).await?;
    for step in steps() {
        let run = Run::new(&site, &format!("after-{step}")).await?;
        let mut worker = run.worker("300")?;
        eventually("the step is remembered", async || {
            run.remembered()
                .await
                .is_ok_and(|kept| kept.iter().any(|kept| kept == step))
        })
        .await?;
        worker.kill().await?;
        println!("killed after {:?}", run.remembered().await?);
        run.finish(&expected).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_worker_that_dies_in_any_step_loses_that_step_only() -> TestResult {
    let site = Site::new().await?;
    let expected = undisturbed(&site).await?;
    for step in steps() {
        let run = Run::new(&site, &format!("in-{step}")).await?;
        let mut worker = run.worker("300")?;
        eventually("the step begins", async || {
            run.journal().iter().any(|entry| entry.step == step)
        })
        .await?;
        worker.kill().await?;
        println!("killed in {step} after {:?}", run.remembered().await?);
        run.finish(&expected).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_program_dies_with_its_worker() -> TestResult {
    let site = Site::new().await?;
    let expected = undisturbed(&site).await?;
    for (program, step) in PROGRAMS {
        let run = Run::new(&site, &format!("with-{program}")).await?;
        run.hold(program)?;
        let mut worker = run.worker("300")?;
        let started = run.starts(program, 1).await?;
        assert!(is_alive(started[0]));
        worker.kill().await?;
        eventually("the kernel kills the program", async || {
            !is_alive(started[0])
        })
        .await?;
        assert!(!run.remembered().await?.contains(&step.to_owned()));
        fs::write(run.go(program), "")?;
        run.finish(&expected).await?;
        run.check_began_again(program).await?;
    }
    Ok(())
}

/// A step whose program is ended fails for now, and the next attempt succeeds.
async fn tried_again(run: &Run<'_>, (program, step): (&str, &str), said: &str) -> TestResult {
    let started = run.starts(program, 2).await?;
    assert!(!is_alive(started[0]), "the first one is still there");
    fs::write(run.go(program), "")?;
    run.handle.result().timeout("1m").await?;
    let runs = run.site.client().list_runs(run.handle.task_id()).await?;
    let states: Vec<RunState> = runs.iter().map(|run| run.state).collect();
    assert_eq!(states, [RunState::Failed, RunState::Completed]);
    let failure = format!("{:?}", runs[0].failure_reason);
    assert!(
        failure.contains(said) && failure.contains(program),
        "{failure}"
    );
    let journal = run.journal();
    for name in steps() {
        let starts = journal.iter().filter(|entry| entry.step == name).count();
        let expected = if name == step { 2 } else { 1 };
        assert_eq!(starts, expected, "`{name}`: {journal:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_program_that_is_killed_is_tried_again() -> TestResult {
    let site = Site::new().await?;
    let expected = undisturbed(&site).await?;
    for (program, step) in PROGRAMS {
        let run = Run::new(&site, &format!("killed-{program}")).await?;
        run.hold(program)?;
        let _worker = run.worker("300")?;
        let started = run.starts(program, 1).await?;
        let process = Pid::from_raw(started[0]).ok_or("no process")?;
        kill_process(process, Signal::KILL)?;
        tried_again(&run, (program, step), "signal: 9").await?;
        run.finish(&expected).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_program_that_hangs_is_killed_and_tried_again() -> TestResult {
    let site = Site::new().await?;
    let expected = undisturbed(&site).await?;
    for (program, step) in PROGRAMS {
        let run = Run::new(&site, &format!("hung-{program}")).await?;
        run.hold(program)?;
        let _worker = run.worker(LIMIT)?;
        tried_again(&run, (program, step), "ABSURD_TASK_TIMEOUT").await?;
        run.finish(&expected).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_worker_that_wakes_up_too_late_changes_nothing() -> TestResult {
    let site = Site::new().await?;
    let expected = undisturbed(&site).await?;
    let run = Run::new(&site, "asleep").await?;
    run.hold("wsclean")?;
    let asleep = run.worker("300")?;
    run.starts("wsclean", 1).await?;
    let process = i32::try_from(asleep.id().ok_or("it has ended")?)?;
    let process = Pid::from_raw(process).ok_or("no process")?;
    kill_process(process, Signal::STOP)?;
    let _successor = run.worker("300")?;
    let programs = run.starts("wsclean", 2).await?;
    fs::write(run.go("wsclean"), "")?;
    run.handle.result().timeout("1m").await?;
    assert_eq!(parts_in(&run.output())?, Vec::<PathBuf>::new());
    let journal = run.journal();
    kill_process(process, Signal::CONT)?;
    eventually("the first program has ended", async || {
        !is_alive(programs[0]) && fs::metadata(format!("/proc/{}", programs[0])).is_err()
    })
    .await?;
    run.finish(&expected).await?;
    assert_eq!(run.journal(), journal, "it went on with its task");
    Ok(())
}
