//! Images, and what is made of them at once: the same corrected for the dishes' beam.

use absurd_sdk::{LogLevel, Reporter, TaskError, TaskResult};
use measurement_set::MeasurementSet;

use super::{
    finally, in_background,
    measure::{tile_record, write_json},
};
use crate::{
    io::{SetInfo, observed_beam, write_tile},
    tasks::{
        params::{Outputs, StageParams},
        toolbox::Toolbox,
    },
    tools::{ImageOrder, ImagePlan, image},
};

/// Images the corrected visibilities, or the raw ones where nothing was applied.
pub(in crate::tasks) async fn imaging(
    tools: &Toolbox,
    params: &StageParams,
    reporter: &Reporter,
) -> TaskResult<Outputs> {
    let ms = params.ms()?;
    let set = ms.clone();
    let (info, corrected) = in_background(move || {
        let open = MeasurementSet::open(&set)?;
        Ok((
            SetInfo::read(&open, &set)?,
            open.has_column("CORRECTED_DATA")?,
        ))
    })
    .await?;
    let tier = params.config.imaging_tier.unwrap_or_default();
    let plan = ImagePlan::of(&info, tier);
    let order = ImageOrder {
        ms: &ms,
        column: if corrected { "CORRECTED_DATA" } else { "DATA" },
        tier,
        threads: tools.threads,
        limit: tools.limit,
    };
    let fits = ms.with_extension("fits");
    let said = image(&order, plan, &fits, None).await;
    let said = said.map_err(|error| finally(error.is_permanent(), error))?;
    let what = format!(
        "{} of {}: {} pixels of {}\"",
        fits.display(),
        order.column,
        plan.pixels,
        plan.cell.0
    );
    reporter.log(LogLevel::Info, what);
    reporter.log(LogLevel::Info, said);
    in_background(move || {
        let beam = observed_beam(&info).map_err(TaskError::terminal)?;
        let tile = write_tile(&fits, &beam, &fits.with_extension("tile.fits"));
        let tile = tile.map_err(|error| finally(error.is_permanent(), error))?;
        write_json(&tile_record(&fits), &tile)?;
        Ok(Outputs {
            image_path: Some(fits),
            tile: Some(tile),
            ..Outputs::default()
        })
    })
    .await
}
