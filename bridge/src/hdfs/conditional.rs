//! Puts on a condition: two renames that compare and set. hdfs.rs says how.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Inner, etag, now_ms};
use crate::error::{Error, Kind, Result};
use crate::store::random_id;

/// A lock that is older belongs to somebody who is gone. Breaking one that is not costs its owner another try, and nothing else.
const LOCK_AGE_MAX: Duration = Duration::from_secs(15);

/// A name of a fixed length for a key of any.
fn digest(key: &str) -> String {
    let sum = openssl::hash::hash(openssl::hash::MessageDigest::sha256(), key.as_bytes());
    sum.map_or_else(|_| "all".to_string(), |sum| sum.iter().map(|byte| format!("{byte:02x}")).collect())
}

impl Inner {
    pub(super) async fn put_if(&self, key: &str, target: &str, bytes: &Bytes, expected: Option<&str>) -> Result<String> {
        // What must fail need not be written first.
        self.expect(target, expected).await?;
        let id = random_id();
        let own = self.hidden(&format!("put-{id}"));
        let lock = self.hidden(&format!("lock/{}", digest(key)));
        let put = async {
            self.stage(&format!("{own}/{id}"), bytes).await?;
            self.lock(&own, &lock).await?;
            let held = format!("{lock}/{id}");
            let done = self.commit(&held, target, expected).await;
            if done.is_err() {
                let _ = self.within_time(self.client.delete(&held, false)).await;
            }
            // Not recursive: somebody else may have the lock by now.
            let _ = self.within_time(self.client.delete(&lock, false)).await;
            done
        };
        let done = put.await;
        if done.is_err() {
            let _ = self.within_time(self.client.delete(&own, true)).await;
        }
        done
    }

    async fn expect(&self, target: &str, expected: Option<&str>) -> Result<u64> {
        match (self.object(target).await, expected) {
            (Ok(_), None) => Err(Error::new(Kind::AlreadyExists, "there is an object already")),
            (Ok(status), Some(wanted)) if etag(&status) == wanted => Ok(status.modification_time),
            (Ok(_), Some(_)) => Err(Error::new(Kind::FailedPrecondition, "the object has another etag")),
            (Err(error), Some(_)) if error.kind == Kind::NotFound => {
                Err(Error::new(Kind::FailedPrecondition, "the object is gone, and has no etag to match"))
            }
            (Err(error), None) if error.kind == Kind::NotFound => Ok(0),
            (Err(error), _) => Err(error),
        }
    }

    async fn lock(&self, own: &str, lock: &str) -> Result<()> {
        let start = Instant::now();
        let mut tries = 0;
        loop {
            let error = match self.rename(own, lock, false).await {
                Ok(()) => return Ok(()),
                Err(error) if error.kind == Kind::AlreadyExists => error,
                Err(error) => return Err(error),
            };
            if start.elapsed() > self.patience.retry_time_max.max(LOCK_AGE_MAX) {
                return Err(Error::new(Kind::Unavailable, format!("others write the same key all the time ({})", error.message)));
            }
            if let Ok(status) = self.status(lock).await {
                let entries = self.again(|| self.client.list_status(lock, false)).await.unwrap_or_default();
                let age = now_ms().saturating_sub(status.modification_time);
                if entries.is_empty() {
                    let _ = self.within_time(self.client.delete(lock, false)).await;
                    continue;
                } else if Duration::from_millis(age) > LOCK_AGE_MAX {
                    let _ = self.within_time(self.client.delete(lock, true)).await;
                    continue;
                }
            }
            tries += 1;
            tokio::time::sleep(self.patience.pause(tries.min(3))).await;
        }
    }

    async fn commit(&self, held: &str, target: &str, expected: Option<&str>) -> Result<String> {
        let before = self.expect(target, expected).await?;
        let mut status = self.status(held).await?;
        if status.modification_time <= before {
            // An etag of equal time and length would not tell the two apart.
            self.again(|| self.client.set_times(held, before + 1, before + 1)).await?;
            status.modification_time = before + 1;
        }
        let made = etag(&status);
        match self.rename(held, target, expected.is_some()).await {
            Ok(()) => Ok(made),
            Err(error) if error.kind == Kind::AlreadyExists && expected.is_none() => match self.object(target).await {
                Ok(_) => Err(Error::new(Kind::AlreadyExists, "there is an object already")),
                Err(_) => Err(self.directory_in_the_way(target, error).await),
            },
            Err(error) => match self.renamed(held, target, &made, error).await {
                Err(error) if error.kind == Kind::NotFound => {
                    Err(Error::new(Kind::Unavailable, "it took too long, and somebody else took the key's lock over"))
                }
                result => result,
            },
        }
    }
}
