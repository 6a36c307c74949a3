//! Which stages workers of other queues run: `imaging=imaging, photometry=pybdsf`.

use std::collections::BTreeMap;

use absurd_sdk::QueueName;

use crate::model::Stage;

/// Reads pairs of stage and queue. What can't be used is named, with what could stand there.
pub(super) fn parse(text: &str) -> Result<BTreeMap<Stage, QueueName>, String> {
    let mut queues = BTreeMap::new();
    for pair in text
        .split(',')
        .map(str::trim)
        .filter(|pair| !pair.is_empty())
    {
        let (stage, queue) = pair
            .split_once('=')
            .ok_or_else(|| format!("`{pair}` is no pair; write it as `stage=queue`"))?;
        let stage: Stage = stage.trim().parse().map_err(|error| format!("{error}"))?;
        let queue = QueueName::new(queue.trim()).map_err(|error| error.to_string())?;
        if let Some(other) = queues.insert(stage, queue) {
            let name = stage.name();
            return Err(format!(
                "stage `{name}` has queue `{other}` already; keep one"
            ));
        }
    }
    Ok(queues)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_have_queues_by_any_of_their_names() -> Result<(), String> {
        let queues = parse(" imaging=imaging,conversion = io ,")?;
        let named = |stage| queues.get(&stage).map(QueueName::as_str);
        assert_eq!(named(Stage::Imaging), Some("imaging"));
        assert_eq!(named(Stage::Conversion), Some("io"));
        assert_eq!(named(Stage::Photometry), None);
        Ok(())
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (text, said) in [
            (
                "imagine=a",
                "there is no stage `imagine`; there are catalog-setup, ",
            ),
            ("imaging", "`stage=queue`"),
            ("imaging=", "queue"),
            (
                "conversion=a, convert-uvh5-to-ms=b",
                "has queue `a` already",
            ),
        ] {
            let problem = parse(text).err().unwrap_or_default();
            assert!(problem.contains(said), "{text}: {problem}");
        }
    }
}
