//! `ontogeny lineage`: the tree of runs and forks.

use crate::describe;
use crate::face::{Face, write_json};
use crate::failure::Failure;
use crate::names;
use crate::text::{count, value};
use anyhow::Context;
use ontogeny_core::{RunId, RunManifest, TreeNode};
use ontogeny_store::{Store, StoreError};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Draw the tree of runs and their forks: where each left its parent, and with what change
///
/// A fork without a change is a control: it is compared with its parent at every hash of the state that both
/// have recorded. Runs without forks are counted.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  ontogeny lineage\n  ontogeny lineage skills.a.s0 --figure tree.svg"
)]
pub(crate) struct Args {
    /// Only the tree that this run belongs to
    run: Option<String>,

    /// Draw it over the steps, to FILE.svg or FILE.png
    #[arg(long, value_name = "FILE")]
    figure: Option<PathBuf>,
}

/// Characters of a change that are shown.
const MAX_CHANGE: usize = 60;

/// A run with its forks.
struct Node {
    manifest: RunManifest,
    what: String,
    control: Option<Control>,
    events: Vec<(u64, String)>,
    n_zooms: usize,
    forks: Vec<Node>,
}

/// What a control shows.
enum Control {
    /// Equal to its parent at so many hashes.
    Equal(usize),
    /// Not equal, first at this step.
    Differs(u64),
}

pub(crate) fn run(args: &Args, face: &Face, out: &mut dyn Write) -> anyhow::Result<()> {
    let store = face.store()?;
    let all = describe::readable_runs(&store, face.json)?;
    let manifests: BTreeMap<RunId, RunManifest> =
        all.into_iter().map(|m| (m.run.clone(), m)).collect();
    let chosen = args.run.as_deref().map(names::run_id).transpose()?;
    if let Some(run) = &chosen {
        // Names the run that was meant, or says what is wrong with it.
        store.run(run)?;
    }
    let roots = roots(&manifests, chosen.as_ref());
    let mut n_alone = 0;
    let mut trees = Vec::new();
    for root in roots {
        let node = grow(&store, &manifests, root, face.json);
        if node.forks.is_empty() && chosen.is_none() {
            n_alone += 1;
        } else {
            trees.push(node);
        }
    }
    if let Some(path) = &args.figure {
        draw(path, &trees)?;
    }
    if face.json {
        let trees: Vec<Value> = trees.iter().map(Node::to_json).collect();
        return Ok(write_json(
            out,
            &json!({ "trees": trees, "n_without_forks": n_alone, "figure": args.figure }),
        )?);
    }
    for tree in &trees {
        tree.write("", "", chosen.as_ref(), out)?;
    }
    if n_alone > 0 || trees.is_empty() {
        writeln!(out, "{} without forks", count(n_alone, "run"))?;
    }
    if let Some(path) = &args.figure {
        writeln!(out, "drawn to {}", path.display())?;
    }
    Ok(())
}

/// Runs that no other run in the store is the parent of; of a chosen one its first ancestor. Runs whose parents go
/// round in a circle have no first; each of them stands for itself.
fn roots<'a>(
    manifests: &'a BTreeMap<RunId, RunManifest>,
    chosen: Option<&RunId>,
) -> Vec<&'a RunManifest> {
    let first = |run: &RunId| {
        let mut seen = BTreeSet::new();
        let mut at = manifests.get(run)?;
        while let Some(parent) = at.fork.as_ref().and_then(|f| manifests.get(&f.parent)) {
            if !seen.insert(&at.run) {
                return manifests.get(run);
            }
            at = parent;
        }
        Some(at)
    };
    if let Some(run) = chosen {
        return first(run).into_iter().collect();
    }
    let mut names: Vec<&RunId> = manifests.keys().filter_map(|r| Some(&first(r)?.run)).collect();
    names.sort();
    names.dedup();
    names.into_iter().filter_map(|r| manifests.get(r)).collect()
}

/// A run with everything that was forked from it.
fn grow(
    store: &Store,
    manifests: &BTreeMap<RunId, RunManifest>,
    root: &RunManifest,
    json: bool,
) -> Node {
    fn node(
        store: &Store,
        manifests: &BTreeMap<RunId, RunManifest>,
        m: &RunManifest,
        above: &mut Vec<RunId>,
        json: bool,
    ) -> Node {
        let (events, n_zooms, control) = facts(store, m).unwrap_or_else(|e| {
            describe::skipped(m.run.as_str(), &e, json);
            (Vec::new(), 0, None)
        });
        above.push(m.run.clone());
        let is_child = |c: &&RunManifest| {
            c.fork.as_ref().is_some_and(|f| f.parent == m.run) && !above.contains(&c.run)
        };
        let mut children: Vec<&RunManifest> = manifests.values().filter(is_child).collect();
        children.sort_by_key(|c| (c.fork.as_ref().map(|f| f.step), &c.run));
        let forks = children.into_iter().map(|c| node(store, manifests, c, above, json)).collect();
        above.pop();
        let what = what(m, manifests);
        Node { manifest: m.clone(), what, control, events, n_zooms, forks }
    }
    node(store, manifests, root, &mut Vec::new(), json)
}

type Facts = (Vec<(u64, String)>, usize, Option<Control>);

fn facts(store: &Store, m: &RunManifest) -> Result<Facts, StoreError> {
    let reader = store.run(&m.run)?;
    // What already held when a fork began happened to its parent.
    let origin = m.fork.as_ref().map(|f| f.step);
    let seen = |e: ontogeny_core::Event| {
        let step = e.when.seen_at().filter(|s| Some(*s) != origin)?;
        Some((step.0, e.name))
    };
    let events = reader.events()?.into_iter().filter_map(seen).collect();
    let n_zooms = store.zooms(&m.run)?.zooms.len();
    let control = match m.fork.as_ref().filter(|f| f.set.is_empty()) {
        Some(f) => control(store, m, &f.parent)?,
        None => None,
    };
    Ok((events, n_zooms, control))
}

/// Compares a control with its parent at the hashes that both have; `None` without a parent or without any.
fn control(store: &Store, m: &RunManifest, parent: &RunId) -> Result<Option<Control>, StoreError> {
    let Ok(theirs) = store.run(parent) else { return Ok(None) };
    let (mine, mut equal) = (store.run(&m.run)?, BTreeSet::new());
    for name in ["state.hash", "state.fingerprint"] {
        let (a, b) = (mine.recorded()?.get(name), theirs.recorded()?.get(name));
        let Some((a, b)) = a.zip(b) else { continue };
        for p in &a.points {
            match b.at_or_before(p.step).filter(|q| q.step == p.step) {
                Some(q) if q.value.to_bits() != p.value.to_bits() => {
                    return Ok(Some(Control::Differs(p.step.0)));
                }
                Some(_) => drop(equal.insert(p.step)),
                None => {}
            }
        }
    }
    Ok((!equal.is_empty()).then_some(Control::Equal(equal.len())))
}

/// The change of a fork, or the study of a run.
fn what(m: &RunManifest, manifests: &BTreeMap<RunId, RunManifest>) -> String {
    let Some(f) = &m.fork else { return m.role.clone() };
    let changes: Vec<String> =
        f.set.iter().map(|(k, v)| shortened(format!("{k}={}", value(v)))).collect();
    let change = if changes.is_empty() { "no change".to_owned() } else { changes.join(", ") };
    if manifests.contains_key(&f.parent) {
        change
    } else {
        format!("{change}; its parent {} is not in the store", f.parent)
    }
}

/// A mixture of many weights says little in a tree; `runs show` has it whole.
fn shortened(text: String) -> String {
    if text.chars().count() <= MAX_CHANGE {
        return text;
    }
    text.chars().take(MAX_CHANGE - 1).chain(['…']).collect()
}

impl Node {
    fn note(&self) -> String {
        let mut parts = vec![self.what.clone()];
        match &self.control {
            Some(Control::Equal(n)) => {
                parts.push(format!("verified: its parent bit for bit at {}", count(*n, "reading")));
            }
            Some(Control::Differs(step)) => {
                parts.push(format!("NOT its parent: differs first at step {step}"));
            }
            None => {}
        }
        let events: Vec<String> =
            self.events.iter().take(3).map(|(step, name)| format!("{name} {step}")).collect();
        if !events.is_empty() {
            let more = self.events.len().saturating_sub(3);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            parts.push(format!("{}{more}", events.join(", ")));
        }
        if self.n_zooms > 0 {
            parts.push(count(self.n_zooms, "zoom"));
        }
        parts.join("; ")
    }

    fn origin(&self) -> u64 {
        self.manifest.fork.as_ref().map_or(0, |f| f.step.0)
    }

    fn write(
        &self,
        first: &str,
        rest: &str,
        chosen: Option<&RunId>,
        out: &mut dyn Write,
    ) -> std::io::Result<()> {
        let m = &self.manifest;
        let mark = if chosen == Some(&m.run) { " *" } else { "" };
        let from = m.fork.as_ref().map(|f| format!("@{} ", f.step)).unwrap_or_default();
        let note = self.note();
        writeln!(out, "{first}{from}{}{mark}  to step {}; {note}", m.run, m.step)?;
        for (i, fork) in self.forks.iter().enumerate() {
            let is_last = i + 1 == self.forks.len();
            let (branch, below) = if is_last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            fork.write(&format!("{rest}{branch}"), &format!("{rest}{below}"), chosen, out)?;
        }
        Ok(())
    }

    fn to_json(&self) -> Value {
        let m = &self.manifest;
        let control = self.control.as_ref().map(|c| match c {
            Control::Equal(n) => json!({ "is_equal": true, "n_compared": n }),
            Control::Differs(step) => json!({ "is_equal": false, "differs_at": step }),
        });
        json!({
            "run": m.run, "role": m.role, "step": m.step, "fork": m.fork, "control": control,
            "events": self.events.iter().map(|(s, n)| json!({ "name": n, "step": s })).collect::<Vec<_>>(),
            "n_zooms": self.n_zooms,
            "forks": self.forks.iter().map(Self::to_json).collect::<Vec<_>>(),
        })
    }

    fn to_tree(&self, parent: Option<&RunId>) -> TreeNode {
        // A fork that is named after its parent needs not say so beside it.
        let name = self.manifest.run.as_str();
        let tail = parent.and_then(|p| name.strip_prefix(p.as_str())).filter(|t| !t.is_empty());
        TreeNode {
            label: tail.map_or_else(|| name.to_owned(), |t| format!("…{t}")),
            note: match &self.control {
                Some(Control::Equal(_)) => "control, verified".to_owned(),
                Some(Control::Differs(_)) => "control that is NOT its parent".to_owned(),
                None => self.what.clone(),
            },
            span: (self.origin(), self.manifest.step.0),
            events: self.events.clone(),
            children: self.forks.iter().map(|f| f.to_tree(Some(&self.manifest.run))).collect(),
        }
    }
}

fn draw(path: &Path, trees: &[Node]) -> anyhow::Result<()> {
    let roots: Vec<TreeNode> = trees.iter().map(|t| t.to_tree(None)).collect();
    let svg = ontogeny_report::tree_svg(&roots);
    let kind = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
    let bytes = match kind.as_str() {
        "svg" => svg.into_bytes(),
        "png" => ontogeny_report::png_from_svg(&svg, 2.0)?,
        _ => {
            let what = format!("{} is neither .svg nor .png", path.display());
            return Err(Failure::usage(what).help("name the figure FILE.svg or FILE.png").into());
        }
    };
    std::fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}
