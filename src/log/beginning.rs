//! Where a member's log begins: an empty one where its shipper's does, any one later and later as
//! segments go.

use wal::{Beginning, Lsn, Removal};

use super::service::Request;
use super::{Error, LogHandle, LogService, Refusal};
use crate::cluster::Shipper;

impl LogHandle {
    /// Lets an empty log begin behind `beginning`, where `shipper`'s does; durable on return.
    ///
    /// # Errors
    /// [`Error::Refused`] by a promise to somebody else, or since this log is not empty.
    pub async fn begin(&self, shipper: Shipper, beginning: Beginning) -> Result<(), Error> {
        let beginning = Box::new(beginning);
        let asked = self.ask(|reply| Request::Begin(shipper, beginning, reply));
        asked.await?.map_err(Error::Refused)
    }

    /// Takes the segments out of the log that lie before `keep` and before what is visible (I4); their
    /// files go with [`Removal::finish`]. The caller knows that nobody needs them.
    ///
    /// # Errors
    /// [`Error::Log`]: nothing was removed.
    pub async fn remove_before(&self, keep: Lsn) -> Result<Removal, Error> {
        Ok(self.ask(|reply| Request::Remove(keep, reply)).await??)
    }
}

impl LogService {
    pub(super) fn begin(
        &mut self,
        shipper: Shipper,
        beginning: Beginning,
    ) -> Result<Result<(), Refusal>, Error> {
        if let Some(refusal) = self.admit(shipper, None)? {
            return Ok(Err(refusal));
        }
        if let Err(error) = self.log.begin(beginning) {
            return self.not_written(error.into()).map(Err);
        }
        self.note_end();
        Ok(Ok(()))
    }

    /// Nothing that is not visible goes (I4), whatever the caller knows.
    pub(super) fn remove_before(&mut self, keep: Lsn) -> Result<Removal, wal::Error> {
        let keep = self.gate.visible().map_or(Lsn::FIRST, |visible| visible.min(keep));
        self.log.remove_before(keep)
    }
}
