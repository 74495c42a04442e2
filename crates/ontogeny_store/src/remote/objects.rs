//! Pushing objects: what lists need, and what that is stored against, from the far end on.
//!
//! An object that is there is never replaced. So the order in which objects got their names is one in which each comes
//! after those it is stored against, whoever pushes beside us and however others have stored the same bytes: following
//! them ends.

use super::{N_REQUESTS, Remote};
use crate::chain;
use crate::chunks::ChunkId;
use crate::codec::RawId;
use crate::{Damage, StoreError, disk};
use futures::{StreamExt, TryStreamExt};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

/// What is known of the objects there.
#[derive(Debug)]
pub(super) struct Objects {
    remote: Remote,
    dir: PathBuf,
    there: BTreeSet<RawId>,
    /// First bytes of the names that were listed.
    listed: BTreeSet<u8>,
    /// Objects here that cannot be pushed, and why.
    broken: BTreeMap<RawId, Arc<StoreError>>,
    is_dry: bool,
}

fn name(id: RawId) -> (ChunkId, String) {
    let id = ChunkId::from_raw(&id);
    let rel = format!("objects/{}/{}", id.folder(), id.as_str());
    (id, rel)
}

impl Objects {
    pub(super) fn new(remote: &Remote, dir: PathBuf, is_dry: bool) -> Self {
        Self {
            remote: remote.clone(),
            dir,
            there: BTreeSet::new(),
            listed: BTreeSet::new(),
            broken: BTreeMap::new(),
            is_dry,
        }
    }

    /// Sees to it that everything that each of `needs` names is there. For each it says why not, if objects here are
    /// missing or damaged.
    pub(super) async fn ensure(
        &mut self,
        needs: &[BTreeSet<RawId>],
        sent: impl Fn(u64),
    ) -> Result<Vec<Option<Arc<StoreError>>>, StoreError> {
        self.look(needs.iter().flatten().map(|id| id[0]).collect()).await?;
        // Depth of what has to be sent: it is stored against nothing but what is there and what is less deep.
        let mut depths: BTreeMap<RawId, usize> = BTreeMap::new();
        let mut obstacles = Vec::new();
        for need in needs {
            let mut obstacle = None;
            for &id in need {
                if let Err(e) = self.plan(id, &mut depths).await? {
                    obstacle.get_or_insert(e);
                }
            }
            obstacles.push(obstacle);
        }
        let mut waves: BTreeMap<usize, Vec<RawId>> = BTreeMap::new();
        for (id, depth) in depths {
            waves.entry(depth).or_default().push(id);
        }
        for ids in waves.into_values() {
            let send = futures::stream::iter(ids.iter().copied()).map(|id| {
                let (this, sent) = (&*self, &sent);
                async move {
                    sent(this.send(id).await?);
                    Ok::<(), StoreError>(())
                }
            });
            send.buffer_unordered(N_REQUESTS).try_collect::<Vec<()>>().await?;
            self.there.extend(ids);
        }
        Ok(obstacles)
    }

    /// Lists folders of objects that were not listed yet.
    async fn look(&mut self, firsts: BTreeSet<u8>) -> Result<(), StoreError> {
        let new: Vec<u8> = firsts.difference(&self.listed).copied().collect();
        let folders = futures::stream::iter(new.iter().copied()).map(|first| {
            let remote = &self.remote;
            async move { remote.list_folder(&format!("objects/{first:02x}")).await }
        });
        let found: Vec<_> = folders.buffer_unordered(N_REQUESTS).try_collect().await?;
        let names = found.iter().flat_map(|folder| folder.files.keys());
        self.there.extend(names.filter_map(|name| ChunkId::from_name(name)));
        self.listed.extend(new);
        Ok(())
    }

    /// Puts an object and those it is stored against into `depths`, unless they are there. The inner error is about
    /// objects here.
    async fn plan(
        &mut self,
        id: RawId,
        depths: &mut BTreeMap<RawId, usize>,
    ) -> Result<Result<(), Arc<StoreError>>, StoreError> {
        let mut waiting: Vec<(RawId, Vec<RawId>)> = Vec::new();
        let mut next = Some(id);
        loop {
            if let Some(id) = next.take() {
                self.look(BTreeSet::from([id[0]])).await?;
                if !self.there.contains(&id) && !depths.contains_key(&id) {
                    let bases = if waiting.iter().any(|(w, _)| *w == id) {
                        let (chunk, _) = name(id);
                        let path = chain::path(&self.dir, &chunk);
                        Err(Arc::new(StoreError::damaged(&path, Damage::Chain)))
                    } else {
                        self.bases(id)
                    };
                    match bases {
                        Ok(bases) => waiting.push((id, bases)),
                        Err(e) => {
                            // Who is stored against what is damaged cannot be read either.
                            for (waiting, _) in waiting {
                                self.broken.insert(waiting, Arc::clone(&e));
                            }
                            return Ok(Err(e));
                        }
                    }
                }
            }
            let Some((id, bases)) = waiting.last() else { return Ok(Ok(())) };
            let is_done = |b: &RawId| self.there.contains(b) || depths.contains_key(b);
            next = bases.iter().find(|b| !is_done(b)).copied();
            if next.is_none() {
                let depth = bases.iter().filter_map(|b| depths.get(b)).max().map_or(0, |d| d + 1);
                depths.insert(*id, depth);
                waiting.pop();
            }
        }
    }

    /// What an object here is stored against; it is checked as far as that goes without decoding it.
    fn bases(&mut self, id: RawId) -> Result<Vec<RawId>, Arc<StoreError>> {
        if let Some(e) = self.broken.get(&id) {
            return Err(Arc::clone(e));
        }
        let (chunk, _) = name(id);
        let bases = chain::bases(&self.dir, &chunk).map_err(Arc::new);
        let bases = bases.inspect_err(|e| drop(self.broken.insert(id, Arc::clone(e))))?;
        Ok(bases.iter().filter_map(ChunkId::to_raw).collect())
    }

    async fn send(&self, id: RawId) -> Result<u64, StoreError> {
        let (chunk, rel) = name(id);
        let path = chain::path(&self.dir, &chunk);
        let bytes = disk::read(&path)?;
        if chain::bases_of(&bytes).is_none() {
            return Err(StoreError::damaged(&path, Damage::Checksum));
        }
        let n_bytes = bytes.len() as u64;
        if !self.is_dry {
            self.remote.create(&rel, bytes).await?;
        }
        Ok(n_bytes)
    }
}
