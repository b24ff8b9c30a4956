// SPDX-License-Identifier: MPL-2.0
//! The private routes that one client had made. They are of no use to anybody else, and
//! Veilid keeps them until it is told: so they end with the client, however that ends.

use std::sync::{Arc, Mutex, PoisonError};

use veilid_core::{RouteId, VeilidAPI};
use veilid_remote_api::{ApiResult, Response, ResponseOp};

/// Ends all when it is dropped.
pub struct Routes {
    api: VeilidAPI,
    /// None: the client is gone
    made: Arc<Mutex<Option<Vec<RouteId>>>>,
}

/// Sees the answers; requests may end later than their client.
#[derive(Clone)]
pub struct Watcher {
    api: VeilidAPI,
    made: Arc<Mutex<Option<Vec<RouteId>>>>,
}

impl Routes {
    pub fn new(api: VeilidAPI) -> Self {
        Routes { api, made: Arc::new(Mutex::new(Some(Vec::new()))) }
    }

    pub fn watcher(&self) -> Watcher {
        Watcher { api: self.api.clone(), made: self.made.clone() }
    }
}

impl Drop for Routes {
    fn drop(&mut self) {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner).take();
        for route in made.into_iter().flatten() {
            end(&self.api, &route);
        }
    }
}

impl Watcher {
    pub fn see(&self, response: &Response) {
        let (ResponseOp::NewPrivateRoute { result: ApiResult::Ok { value } }
        | ResponseOp::NewCustomPrivateRoute { result: ApiResult::Ok { value } }) = &response.op
        else {
            return;
        };
        match &mut *self.made.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(made) => made.push(value.route_id.clone()),
            None => end(&self.api, &value.route_id),
        }
    }
}

/// Twice: where the route was imported here, too, the first ends that only. The client
/// may have ended it itself, which is an error that nobody has to hear of.
fn end(api: &VeilidAPI, route: &RouteId) {
    for _ in 0..2 {
        let _ = api.release_private_route(route.clone());
    }
}
