//! What a night took: the table that is printed, the document, the facts.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::{Value, json};

use super::{
    Disturbances, NightArgs, WorkerError,
    check::Outcome,
    delivery::{Observations, megabytes},
    mosaics::Mosaics,
    night,
};
use crate::tasks::steps;

/// What the original pipeline's documents give for each step: an observation of full size, whose
/// conversion takes 2.1 GB of disk, on its own machine.
const ORIGINAL: [(&str, &str); 7] = [
    ("convert", "4–5 min"),
    ("calibrate_solve", "41 s–10 min"),
    ("calibrate_apply", "4 s–5 min"),
    ("image", "1–10 min"),
    ("validate", "< 1 min"),
    ("photometry", "1–10 min"),
    ("crossmatch", "seconds"),
];
/// Reads the files that it is given, makes one Measurement Set of them, and prints the seconds
/// and the kilobytes that it took, without and with the start of Python's modules.
const CONVERSION: &str = r#"
import resource, sys, time
begin = time.perf_counter()
from pyuvdata import UVData, __version__
loaded = time.perf_counter()
data = UVData()
data.read(sys.argv[2:], axis="freq", file_type="uvh5", run_check=False,
          run_check_acceptability=False, strict_uvw_antpos_check=False)
data.select(ant_str="cross", run_check=False)
data.phase(ra=float(data.lst_array.mean()),
           dec=float(data.extra_keywords.get("phase_center_dec", 0.9669)),
           phase_frame="icrs", cat_name="centre")
data.write_ms(sys.argv[1], run_check=False, strict_uvw_antpos_check=False, clobber=True)
end = time.perf_counter()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(__version__, end - loaded, end - begin, peak)
"#;

/// All that a night has to tell.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) arguments: NightArgs,
    pub(super) size: String,
    pub(super) took: Duration,
    pub(super) disturbances: Disturbances,
    pub(super) outcome: Outcome,
    pub(super) mosaics: Mosaics,
    /// Peaks of resident memory in bytes, by process.
    pub(super) memory: BTreeMap<String, u64>,
    pub(super) reference: Option<Reference>,
}

/// The first observation's conversion by `pyuvdata`, the original's library.
#[derive(Debug, serde::Serialize)]
pub(super) struct Reference {
    version: String,
    /// Reading, phasing and writing.
    seconds: f64,
    /// The same, and the start of the program.
    seconds_with_start: f64,
    memory_bytes: u64,
}

/// Converts the first observation with `pyuvdata`.
pub(super) fn reference_conversion(
    python: &Path,
    folder: &Path,
    observations: &Observations,
) -> Result<Reference, WorkerError> {
    let Some((_, place)) = observations.groups.first() else {
        return Err(night("there are no observations"));
    };
    let script = folder.join("conversion.py");
    fs::write(&script, CONVERSION).map_err(WorkerError::file(&script))?;
    let files: Vec<PathBuf> = super::entries(place)?.into_iter().collect();
    let ran = Command::new(python)
        .arg(&script)
        .arg(folder.join("pyuvdata.ms"))
        .args(files)
        .output()
        .map_err(WorkerError::file(python))?;
    let said = String::from_utf8_lossy(&ran.stdout);
    let last = said.lines().last().unwrap_or_default();
    let mut words = last.split_whitespace();
    let version = words.next().unwrap_or_default().to_owned();
    let mut number = || words.next().and_then(|word| word.parse::<f64>().ok());
    let (Some(seconds), Some(seconds_with_start), Some(kilobytes), true) =
        (number(), number(), number(), ran.status.success())
    else {
        let errors = String::from_utf8_lossy(&ran.stderr);
        let last = errors.lines().last().unwrap_or_default();
        return Err(night(format!("pyuvdata's conversion failed: {last}")));
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a size of a process"
    )]
    let memory_bytes = (kilobytes * 1_024.0) as u64;
    Ok(Reference {
        version,
        seconds,
        seconds_with_start,
        memory_bytes,
    })
}

impl Report {
    /// The figures without words.
    pub(super) fn facts(&self) -> Value {
        let steps = self.outcome.steps.iter();
        let steps: BTreeMap<&String, Value> = steps
            .map(|(step, took)| {
                let seconds: Vec<f64> = took.iter().map(Duration::as_secs_f64).collect();
                (step, json!(seconds))
            })
            .collect();
        json!({
            "groups": self.arguments.groups,
            "size": self.size,
            "seconds": self.took.as_secs_f64(),
            "disturbances": self.disturbances,
            "attempts_lost": self.outcome.attempts_lost,
            "steps_lost": self.outcome.steps_lost,
            "steps_s": steps,
            "mosaics": self.mosaics,
            "memory_bytes": self.memory,
            "pyuvdata": self.reference,
        })
    }

    /// The document.
    pub(super) fn markdown(&self) -> String {
        let mut text = String::new();
        // Writing into a text can't fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        let NightArgs { groups, .. } = self.arguments;
        let (outcome, done) = (&self.outcome, self.disturbances);
        writeln!(text, "# What the pipeline takes\n")?;
        writeln!(text, "Written by a program from what it has measured:\n")?;
        writeln!(text, "```sh\n{}\n```\n", self.command())?;
        let took = seconds(self.took);
        writeln!(
            text,
            "A night in miniature, {}. {groups} simulated observations, each of\n{}, arrive \
             shuffled and late;\na bridge submits them and two workers process them, in {took}. \
             Meanwhile {} workers were killed\nwith SIGKILL, {} of them while a program of the \
             field ran, and the database crashed and came\nback {}.\n",
            machine(),
            self.size,
            done.kills,
            done.kills_at_work,
            times(done.restarts),
        )?;
        writeln!(
            text,
            "At the end each observation had one task, one image and one record, nothing \
             half-made lay about,\nno step that was remembered had run again, and nobody had \
             helped: the program fails otherwise.\n{} attempts and {} steps were lost and done \
             again.\n",
            outcome.attempts_lost, outcome.steps_lost,
        )?;
        self.write_mosaics(text)?;
        self.write_steps(text)?;
        self.write_memory(text)?;
        self.write_reference(text)
    }

    fn write_mosaics(&self, text: &mut String) -> std::fmt::Result {
        let Mosaics { count, fluxes } = self.mosaics;
        writeln!(
            text,
            "Windows of ten groups, two of them shared, became mosaics by themselves: {count}."
        )?;
        let Some(fluxes) = fluxes else {
            return writeln!(
                text,
                "An array of so few antennas measures no flux densities.\n"
            );
        };
        writeln!(
            text,
            "On them the median flux density of {} sources is {:.3} of the sky's; the one furthest \
             off\ndiffers by {:.1} %.\n",
            fluxes.sources,
            fluxes.ratio,
            fluxes.worst * 100.0,
        )
    }

    /// The command that makes the document again.
    fn command(&self) -> String {
        let arguments = &self.arguments;
        let profile = if cfg!(debug_assertions) {
            ""
        } else {
            " --profile bench-run"
        };
        let command = format!(
            "cargo run{profile} -p pipeline-tasks --bin pipeline-worker -- night \\\n    \
             --groups {} --antennas {} --channels {} --integrations {} --arrive-every {}ms \\\n    \
             --kill-every {}ms --mosaic-wait {}ms --seed {}",
            arguments.groups,
            arguments.antennas,
            arguments.channels,
            arguments.integrations,
            arguments.arrive_every.as_millis(),
            arguments.kill_every.as_millis(),
            arguments.mosaic_wait.as_millis(),
            arguments.seed
        );
        let option = |name: &str, path: &Option<PathBuf>| {
            let path = path.as_ref().map(|path| path.display().to_string());
            path.map_or(String::new(), |path| format!(" \\\n    {name} {path}"))
        };
        let python = option("--pyuvdata", &arguments.pyuvdata);
        command + &python + &option("--out", &arguments.out)
    }

    fn write_steps(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "## Time of each step\n")?;
        writeln!(
            text,
            "From the checkpoint before a step to its own, of executions that were not lost. Two \
             workers share\nthe machine. The original's figures stand for an observation of full \
             size (2.1 GB) on its own\nmachine: they say what the steps are, and can't be \
             divided by ours.\n"
        )?;
        writeln!(text, "| step | median | max | original, full size |")?;
        writeln!(text, "|---|---|---|---|")?;
        for step in steps() {
            let Some(took) = self.outcome.steps.get(step) else {
                continue;
            };
            let original = ORIGINAL.iter().find(|(name, _)| *name == step);
            let original = original.map_or("–", |(_, took)| took);
            let (middle, most) = middle_and_most(took);
            writeln!(
                text,
                "| {step} | {} | {} | {original} |",
                seconds(middle),
                seconds(most)
            )?;
        }
        let (middle, most) = middle_and_most(&self.outcome.turnaround);
        writeln!(
            text,
            "| from submission to product, with waiting | {} | {} | – |\n",
            seconds(middle),
            seconds(most)
        )
    }

    fn write_memory(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "## Memory\n")?;
        writeln!(
            text,
            "The highest resident size that any process of the name had (`VmHWM`, looked at five \
             times a second).\nA worker holds one task at a time.\n"
        )?;
        writeln!(text, "| process | peak |\n|---|---|")?;
        for (name, bytes) in &self.memory {
            writeln!(text, "| {name} | {:.0} MB |", megabytes(*bytes))?;
        }
        writeln!(text)
    }

    fn write_reference(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "## The conversion beside pyuvdata\n")?;
        let Some(reference) = &self.reference else {
            return writeln!(
                text,
                "Not measured: the command was given no Python with pyuvdata (`--pyuvdata`, see \
                 `--help`)."
            );
        };
        let ours = self.outcome.steps.get("convert");
        let (ours, _) = middle_and_most(ours.map_or(&[], Vec::as_slice));
        writeln!(
            text,
            "The library that the original converts with, on the files of the first observation, \
             after the\nnight; ours is the median from above, with another worker beside it.\n"
        )?;
        writeln!(text, "| | time | with its start | peak memory |")?;
        writeln!(text, "|---|---|---|---|")?;
        writeln!(
            text,
            "| step `convert` | {} | – | see above |",
            seconds(ours)
        )?;
        writeln!(
            text,
            "| pyuvdata {} | {:.2} s | {:.2} s | {:.0} MB |",
            reference.version,
            reference.seconds,
            reference.seconds_with_start,
            megabytes(reference.memory_bytes)
        )
    }
}

/// The median, and the longest; nothing takes no time.
fn middle_and_most(took: &[Duration]) -> (Duration, Duration) {
    let mut took = took.to_vec();
    took.sort_unstable();
    let at = |index: usize| took.get(index).copied().unwrap_or_default();
    let middle = (at(took.len().saturating_sub(1) / 2) + at(took.len() / 2)) / 2;
    (middle, took.last().copied().unwrap_or_default())
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

fn times(count: usize) -> String {
    if count == 1 {
        "once".to_owned()
    } else {
        format!("{count} times")
    }
}

/// On what it was measured.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let described = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = described
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("an unknown processor", |(_, model)| model);
    let build = if cfg!(debug_assertions) {
        "a build without optimization"
    } else {
        "an optimized build"
    };
    // Others may use the machine as well, and the night itself keeps its cores busy.
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').nth(2).unwrap_or("unknown").to_owned();
    format!("with {cores} cores of {model} (load of the last 15 minutes: {load}), by {build}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_and_the_most_are_of_any_order() {
        let took = [3, 9, 1, 4, 2].map(Duration::from_secs);
        let (middle, most) = middle_and_most(&took);
        assert_eq!((middle.as_secs(), most.as_secs()), (3, 9));
        let even = [1, 4, 2, 9].map(Duration::from_secs);
        assert_eq!(middle_and_most(&even).0.as_secs(), 3);
        assert_eq!(middle_and_most(&[]), (Duration::ZERO, Duration::ZERO));
    }
}
