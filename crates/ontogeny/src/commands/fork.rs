//! `ontogeny fork`: another run from the exact state of one, with one declared change.

use crate::comparison::Comparison;
use crate::face::{CLOCK, Face, write_json};
use crate::failure::Failure;
use crate::lineage;
use crate::names;
use crate::progress::Follower;
use crate::text::{count, flatten, value};
use anyhow::Context;
use clap::builder::RangedU64ValueParser;
use ontogeny_core::{RunId, RunManifest, Step};
use ontogeny_lab::interventions::{intervention, interventions};
use ontogeny_lab::{
    Conductor, ForkPlan, LabError, RunPlan, RunRecord, StopRule, Unobserved, config_of,
};
use ontogeny_store::{Store, StoreError};
use ontogeny_train::{RunConfig, apply_set, parse_set};
use serde_json::{Value, json};
use std::io::Write;

/// Readings after the fork at which the control must equal the parent before any effect is reported.
const N_VERIFIED_READINGS: u64 = 4;

/// Fork a run at a step, with a change or (without one) as a control, and compare it with its parent
///
/// The state at the step is exact: it is rebuilt from the nearest checkpoint before it. Before any effect is
/// reported, a fork without the change is shown to be the parent itself, bit for bit.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ontogeny fork skills.a.s0@400 --set optimizer.weight_decay=0
  ontogeny fork skills.a.s0@400 --intervention wd_x2 --steps 2000 --name skills.a.s0.wd
  ontogeny fork skills.a.s0@400 --set optimizer.lr=1e-4 --dry-run
  ontogeny fork skills.a.s0@400                          (a control)")]
pub(crate) struct Args {
    /// The run and the step to leave it at
    #[arg(value_name = "RUN@STEP")]
    at: String,

    /// Change a configuration key; `ontogeny runs show RUN` lists the keys
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,

    /// Make a named change; `ontogeny interventions` lists them
    #[arg(long, value_name = "NAME")]
    intervention: Option<String>,

    /// Updates to make [default: up to where the parent ended]
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<u64>::new().range(1..))]
    steps: Option<u64>,

    /// Name of the new run [default: made from the parent's, the step and the change]
    #[arg(long, value_name = "ID")]
    name: Option<String>,

    /// Show the change and stop
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(args: &Args, face: &Face, out: &mut dyn Write) -> anyhow::Result<()> {
    let store = face.store()?;
    let (parent, step) = names::run_at_step(&args.at)?;
    let plan =
        plan(&store, &parent, step, args).with_context(|| format!("cannot fork {}", args.at))?;
    if args.dry_run {
        return show_plan(&store, &plan, face, out);
    }
    let follower = Follower::listen(&store, face.json)?;
    let ledger = store.ledger();
    let conductor = Conductor { store: &store, ledger: &ledger, clock: &CLOCK, watch: &follower };
    let made = make(&conductor, &plan, step, &parent);
    follower.clear();
    let (n_verified, records) =
        made.with_context(|| format!("fork {} is not finished", plan.id))?;

    let comparison = Comparison::new(&records);
    if face.json {
        let answer = json!({
            "run": plan.id, "parent": parent, "step": step, "set": changes(&plan),
            "n_verified_readings": n_verified, "comparison": comparison.to_json(),
        });
        return Ok(write_json(out, &answer)?);
    }
    writeln!(out, "fork {} of {parent} at step {step}", plan.id)?;
    let readings = count(n_verified, "reading");
    writeln!(
        out,
        "control verified: without a change it is its parent, bit for bit, at {readings}\n"
    )?;
    comparison.write(out)
}

/// What is to be done, checked as far as it can be without doing it.
fn plan(store: &Store, parent: &RunId, step: Step, args: &Args) -> anyhow::Result<RunPlan> {
    let reader = store.run(parent)?;
    let manifest = reader.manifest();
    if step > manifest.step {
        let (run, last) = (parent.clone(), manifest.step);
        return Err(LabError::NoSuchStep { run, step, last }.into());
    }
    if step < origin(manifest) {
        let what = format!("{parent} is itself a fork that began at step {}", origin(manifest));
        return Err(Failure::usage(what).help("fork it later, or fork its parent").into());
    }
    let original = config_of(store, parent)?;
    let set = resolve(&original, args)?;
    let mut config = apply_set(&original, &set)?;
    let end = args.steps.map_or(manifest.step.0, |n| step.0.saturating_add(n));
    if !set.iter().any(|(key, _)| key == "horizon") {
        config.horizon = end;
    }
    if config.horizon <= step.0 {
        let what = format!("the fork would end at step {}, where it begins", config.horizon);
        return Err(Failure::usage(what).help("say how many updates to make with --steps").into());
    }
    config.check()?;
    let id = match &args.name {
        Some(name) => names::run_id(name)?,
        None => default_name(parent, step, args.intervention.as_deref(), &set, args.steps)?,
    };
    let role = if set.is_empty() { "control" } else { "fork" }.to_owned();
    let fork = Some(ForkPlan { parent: parent.clone(), step, set });
    Ok(RunPlan {
        id,
        study: None,
        role,
        cell: manifest.cell.clone(),
        config,
        seeds: manifest.seeds,
        fork,
        rules: reader.events()?.iter().filter_map(lineage::rule_of).collect(),
        stop: StopRule::Horizon,
    })
}

/// The change: that of the named intervention, then the keys that were set.
fn resolve(config: &RunConfig, args: &Args) -> anyhow::Result<Vec<(String, Value)>> {
    let mut set = Vec::new();
    if let Some(name) = &args.intervention {
        let found = intervention(name).ok_or_else(|| {
            let all = interventions().iter().map(|i| i.name);
            names::unknown("intervention", name, all)
                .help("`ontogeny interventions` lists what there is")
        })?;
        set = (found.set)(config).ok_or_else(|| {
            Failure::usage(format!(
                "intervention {name} does not apply to this run: {}",
                found.summary
            ))
        })?;
    }
    for text in &args.set {
        set.push(parse_set(text)?);
    }
    Ok(set)
}

/// `parent.at400.weight_decay-0`, cut to the length of a name.
fn default_name(
    parent: &RunId,
    step: Step,
    intervention: Option<&str>,
    set: &[(String, Value)],
    steps: Option<u64>,
) -> Result<RunId, Failure> {
    let change = match (intervention, set) {
        (Some(name), _) => name.to_owned(),
        (None, []) => "control".to_owned(),
        (None, set) => {
            let last = |k: &str| k.rsplit('.').next().unwrap_or(k).to_owned();
            let each: Vec<String> =
                set.iter().map(|(k, v)| format!("{}-{}", last(k), value(v))).collect();
            each.join(".")
        }
    };
    let steps = steps.map(|n| format!(".n{n}")).unwrap_or_default();
    let text = format!("{parent}.at{step}.{change}{steps}");
    RunId::made_of(&text).map_or_else(|| names::run_id(&text), Ok)
}

/// Verifies the control, conducts the fork, and reads the parent beside it.
fn make(
    conductor: &Conductor<'_>,
    plan: &RunPlan,
    step: Step,
    parent: &RunId,
) -> anyhow::Result<(usize, Vec<RunRecord>)> {
    let watch = conductor.watch;
    let n_steps = N_VERIFIED_READINGS * config_of(conductor.store, parent)?.record.probe_every;
    watch.note(&format!("verifying that a fork of {parent} at step {step} is exact"));
    let mut n_verified = conductor.verify_control(parent, step, n_steps)?;
    watch.stage(&format!("fork {}", plan.id), 1, plan.config.horizon.saturating_sub(step.0));
    let fork = conductor.conduct(plan, &mut Unobserved)?;
    let original = lineage::whole(conductor.store, parent)?;
    if changes(plan).is_empty() {
        n_verified = n_verified.max(equal_readings(&original, &fork, step)?);
    }
    if n_verified == 0 {
        return Err(Failure::usage(format!(
            "{parent} has no reading at or after step {step}: nothing shows that the fork is exact"
        ))
        .into());
    }
    let fork = lineage::whole(conductor.store, &plan.id)?;
    Ok((n_verified, vec![original, fork]))
}

/// A control must equal its parent at every reading that both have. Returns how many there are.
fn equal_readings(parent: &RunRecord, control: &RunRecord, fork: Step) -> Result<usize, LabError> {
    let points = |r: &RunRecord| r.series.get("state.fingerprint").cloned().unwrap_or_default();
    let theirs = points(parent);
    let mut n = 0;
    for p in points(control).points {
        let same_step = theirs.at_or_before(p.step).filter(|q| q.step == p.step);
        if let Some(q) = same_step {
            if q.value.to_bits() != p.value.to_bits() {
                let run = parent.id().clone();
                return Err(LabError::ControlDiffers { run, fork, step: p.step });
            }
            n += 1;
        }
    }
    Ok(n)
}

fn changes(plan: &RunPlan) -> &[(String, Value)] {
    plan.fork.as_ref().map_or(&[], |f| &f.set)
}

fn show_plan(
    store: &Store,
    plan: &RunPlan,
    face: &Face,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let Some(fork) = &plan.fork else { return Ok(()) };
    let reader = store.run(&fork.parent)?;
    let before = flatten(&reader.manifest().config);
    let after = flatten(&serde_json::to_value(&plan.config)?);
    let old = |key: &str| before.iter().find(|(k, _)| k == key).map(|(_, v)| v.clone());
    let changed: Vec<(String, Option<Value>, Value)> = (after.into_iter())
        .map(|(key, new)| (key.clone(), old(&key), new))
        .filter(|(_, old, new)| old.as_ref() != Some(new))
        .collect();
    let exists = !matches!(store.run(&plan.id), Err(StoreError::UnknownRun { .. }));
    let kept = reader.checkpoints()?.into_iter().chain(reader.zoomed_checkpoints()?);
    let known = kept.chain([origin(reader.manifest())]);
    let nearest = known.filter(|&s| s <= fork.step).max().unwrap_or_default();
    let replayed = fork.step.0 - nearest.0;
    if face.json {
        let changed: Vec<Value> = changed
            .iter()
            .map(|(key, old, new)| json!({ "key": key, "from": old, "to": new }))
            .collect();
        let answer = json!({
            "run": plan.id, "parent": fork.parent, "step": fork.step, "role": plan.role,
            "set": fork.set, "changed": changed, "horizon": plan.config.horizon,
            "n_replayed": replayed, "exists": exists,
        });
        return Ok(write_json(out, &answer)?);
    }
    writeln!(out, "{} {} of {} at step {}", plan.role, plan.id, fork.parent, fork.step)?;
    for (key, old, new) in &changed {
        let old = old.as_ref().map_or_else(|| "nothing".to_owned(), value);
        writeln!(out, "  {key}: {old} -> {}", value(new))?;
    }
    let n = plan.config.horizon - fork.step.0;
    writeln!(out, "  {} to make, {replayed} to replay before", count(n as usize, "update"))?;
    if exists {
        writeln!(out, "  a run of this name is in the store and would go on or be read")?;
    }
    Ok(())
}

/// The step at which a run began.
fn origin(m: &RunManifest) -> Step {
    m.fork.as_ref().map_or(Step(0), |f| f.step)
}
