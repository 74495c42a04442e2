//! What is exported and imported again is the same.

use ontogeny_core::{Point, Series, Step};
use ontogeny_import::export::{ExportedRun, FORMATS, exporter};
use ontogeny_import::{Collected, Options, find, import};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::path::Path;

#[derive(Debug, Clone)]
struct Run {
    id: String,
    config: Map<String, Value>,
    series: Vec<Series>,
}

fn export(format: &str, dir: &Path, runs: &[Run]) {
    let mut out = exporter(format, dir).unwrap();
    for run in runs {
        let series: Vec<&Series> = run.series.iter().collect();
        out.run(&ExportedRun {
            id: &run.id,
            config: &run.config,
            series: &series,
            began_unix_secs: 1.7e9,
            wall_secs: &[],
        })
        .unwrap();
    }
    out.finish().unwrap();
}

fn reimport(dir: &Path) -> Collected {
    let options = Options::default();
    let found = find(&[dir.to_path_buf()], &options).unwrap();
    let mut all = Collected::default();
    for unit in &found.units {
        let mut one = Collected::default();
        import(unit, &options, &mut one).unwrap();
        for mut run in one.runs {
            if run.meta.name.is_empty() {
                unit.name.rsplit('/').next().unwrap().clone_into(&mut run.meta.name);
            }
            all.runs.push(run);
        }
    }
    all
}

fn bits(points: &[Point]) -> Vec<(u64, u64)> {
    let canonical = |v: f64| if v.is_nan() { f64::NAN.to_bits() } else { v.to_bits() };
    points.iter().map(|p| (p.step.0, canonical(p.value))).collect()
}

#[track_caller]
fn check(runs: &[Run]) {
    for format in FORMATS {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("out");
        export(format, &to, runs);
        let back = reimport(&to);
        for run in runs {
            let found =
                back.run_named(&run.id).unwrap_or_else(|| panic!("{format}: no {}", run.id));
            for series in &run.series {
                let again = found
                    .get(&series.name)
                    .unwrap_or_else(|| panic!("{format}: no {}", series.name));
                assert_eq!(bits(&again.points), bits(&series.points), "{format} {}", series.name);
                if format != "tfevents" {
                    assert_eq!(again.unit, series.unit, "{format} {}", series.name);
                }
            }
            assert_eq!(found.series.len(), run.series.len(), "{format}");
            assert_eq!(found.meta.config, run.config, "{format}");
        }
    }
}

#[test]
fn runs_come_back_to_the_last_bit() {
    let series = |name: &str, unit: &str, pairs: &[(u64, f64)]| {
        Series::from_pairs(name, unit, pairs.iter().copied())
    };
    let config = json!({"lr": 0.1, "depth": 12, "name, \"quoted\"": "a\nb", "optimizer": {"betas": [0.9, 0.98]}, "on": true});
    let Value::Object(config) = config else { unreachable!() };
    check(&[
        Run {
            id: "a".into(),
            config,
            series: vec![
                series(
                    "loss",
                    "nats",
                    &[(0, 0.1 + 0.2), (1, f64::NAN), (7, f64::INFINITY), (8, -0.0)],
                ),
                series("acc", "1", &[(0, 0.5), (10, 0.25)]),
                series("acc.stderr", "1", &[(10, 0.125)]),
                series("odd.stderr", "1", &[(3, 1e300), (u64::from(u32::MAX), f64::MIN_POSITIVE)]),
                series("comma, \"x\"", "unknown", &[(1, 1.0)]),
            ],
        },
        Run {
            id: "b".into(),
            config: Map::new(),
            series: vec![series("loss", "nats", &[(1, 2.0)])],
        },
    ]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn any_series_comes_back(
        values in prop::collection::vec((0..1000_u64, any::<u64>()), 1..60),
        singles in prop::collection::vec((0..1000_u64, any::<f32>()), 1..60),
    ) {
        let ordered = |mut pairs: Vec<(u64, f64)>| {
            pairs.sort_by_key(|p| p.0);
            pairs.dedup_by_key(|p| p.0);
            pairs
        };
        let doubles = ordered(values.into_iter().map(|(s, b)| (s, f64::from_bits(b))).collect());
        let singles = ordered(singles.into_iter().map(|(s, v)| (s, f64::from(v))).collect());
        check(&[Run {
            id: "r".into(),
            config: Map::new(),
            series: vec![Series::from_pairs("a/b", "s", doubles), Series::from_pairs("c", "1", singles)],
        }]);
    }
}

#[test]
fn exports_appear_whole_or_not_at_all() {
    for format in FORMATS {
        let dir = tempfile::tempdir().unwrap();
        let out = exporter(format, dir.path()).unwrap();
        drop(out);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "{format}");
    }
    assert!(exporter("xlsx", Path::new(".")).unwrap_err().is_usage());
    let _ = Step(0);
}
