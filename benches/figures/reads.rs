//! What the core keeps of who has read what: by a builder in this process, with the same objects.

use anyhow::{Context as _, Result, ensure};
use isobath::build::{Builder, Config};
use isobath::facts::ClassSelection;
use isobath::objects::{Event, Kind, decode};
use isobath::translate::Options;

use crate::objects::World;
use crate::report::{Report, Target};

/// Counts the recorded reads of a world, and their bytes.
pub fn count(report: &mut Report, world: &World) -> Result<()> {
    let mut builder = Builder::new(Config {
        classes: ClassSelection::default(),
        ..Config::of_manifests(Options::default())
    });
    for object in world.all() {
        let kind = Kind::ALL
            .into_iter()
            .find(|kind| kind.to_string() == object.kind.name())
            .context("a kind that is not watched")?;
        let object = decode(kind, &object.json.to_string())?;
        builder.apply(Event::Apply(object));
    }
    builder.build();
    ensure!(
        builder.store().hosts().count() == world.hosts,
        "hosts are missing"
    );
    let (count, bytes) = builder.reads();
    let hosts = Some(world.hosts);
    #[allow(clippy::cast_precision_loss)]
    let (count, bytes) = (count as f64, bytes as f64);
    report.add("recorded reads", hosts, "", count);
    report.add("recorded reads", hosts, "MiB", bytes / f64::from(1 << 20));
    report
        .add("bytes of a recorded read", hosts, "B", bytes / count)
        .target(Target::AtMost(100.0));
    Ok(())
}
