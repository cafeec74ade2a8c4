//! A change of members while a reign goes on (I6).

use wal::Body;

use super::Reign;
use crate::agent::Error;
use crate::agent::counter::FromStamper;
use crate::agent::persist::persist;
use crate::agent::state::Topic;
use crate::cluster::QuorumConfig;
use crate::report::View;

impl Reign<'_> {
    /// A joint change (I6): commit under old and new, log the Membership record, go over to the new
    /// when that is committed under both, and only then tell the store.
    pub(super) async fn follow_change(&mut self, view: Option<View>) -> Result<(), Error> {
        let Some(view) = view.filter(|view| view.shipper == Some(self.grant.shipper)) else {
            return Ok(());
        };
        if view.config.len() < 2 || view.config == self.configs {
            return Ok(());
        }
        self.change(view.config).await
    }

    pub(super) async fn change(&mut self, configs: Vec<QuorumConfig>) -> Result<(), Error> {
        let Some(new) = configs.last().cloned() else { return Ok(()) };
        tracing::info!(generation = new.generation, "changing the members under both rules");
        self.configs.clone_from(&configs);
        self.tell(FromStamper::Configs(configs)).await?;
        let record = serde_json::to_vec(&new).expect("a rule is plain data");
        let lsn = self.ship(vec![Body::Membership(record.into())]).await?;
        let committed = self.when_committed(lsn).await?;
        let (link, shipper) = (self.parts.link.clone(), self.grant.shipper);
        let shared = self.parts.shared.clone();
        let to_counter = self.to_counter.clone();
        self.duties.spawn(async move {
            if committed.await.is_err() {
                return Ok(());
            }
            let generation = new.generation;
            let over = FromStamper::Configs(vec![new]);
            to_counter.send(over).await.map_err(|_| Error::RoleTask)?;
            tracing::info!(generation, %lsn, "the change is committed under both rules");
            persist(&shared, Topic::Change, || link.config_committed(shipper, generation)).await
        });
        Ok(())
    }
}
