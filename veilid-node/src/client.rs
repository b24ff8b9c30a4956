// SPDX-License-Identifier: MPL-2.0
//! One client of the JSON API: a line is a request, a response or an update, as
//! veilid-server has it. Requests run side by side and are answered as they end; each
//! update goes to every client; a line that is no request ends the connection.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::UnixStream;
use tokio::sync::mpsc::{channel, Receiver, Sender};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use veilid_core::VeilidAPI;
use veilid_remote_api::{JsonRequestProcessor, RecvMessage, Request};

use crate::routes::Routes;

const CLIENTS_MAX: usize = 64;
/// A request is an app_call of 32 KiB in base64, or settings.
const LINE_MAX: u64 = 1 << 20;
/// Requests of one client that run at a time; the next is read when one has ended.
const RUNNING_MAX: usize = 256;
/// Lines that wait for one client; one that reads so slowly is given up.
const WAITING_MAX: usize = 512;

type Line = Arc<str>;

/// Where updates go.
#[derive(Clone, Default)]
pub struct Clients(Arc<Mutex<Table>>);

#[derive(Default)]
struct Table {
    next: u64,
    clients: HashMap<u64, (Sender<Line>, AbortHandle)>,
}

impl Clients {
    /// Sends message to all, at once: it is Veilid that calls.
    pub fn tell(&self, message: &RecvMessage) {
        let line = line(message);
        self.with(|table| {
            table.clients.retain(|_, (queue, task)| {
                let taken = queue.try_send(line.clone()).is_ok();
                if !taken {
                    task.abort();
                }
                taken
            });
        });
    }

    /// Serves stream from now on, unless there are too many.
    pub fn add(&self, api: VeilidAPI, stream: UnixStream) {
        self.with(|table| {
            if table.clients.len() >= CLIENTS_MAX {
                eprintln!("veilid-node: more than {CLIENTS_MAX} clients; one was turned away");
                return;
            }
            let (queue, waiting) = channel(WAITING_MAX);
            let number = table.next;
            let (clients, answers) = (self.clone(), queue.clone());
            let task = tokio::spawn(async move {
                serve(api, stream, answers, waiting).await;
                clients.with(|table| table.clients.remove(&number));
            });
            table.clients.insert(number, (queue, task.abort_handle()));
            table.next += 1;
        });
    }

    fn with<T>(&self, f: impl FnOnce(&mut Table) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn line(message: &RecvMessage) -> Line {
    match serde_json::to_string(message) {
        Ok(mut text) => {
            text.push('\n');
            text.into()
        }
        Err(e) => {
            eprintln!("veilid-node: a message could not be written: {e}");
            "".into()
        }
    }
}

async fn serve(api: VeilidAPI, stream: UnixStream, queue: Sender<Line>, waiting: Receiver<Line>) {
    let (reader, writer) = stream.into_split();
    tokio::select! {
        () = write(writer, waiting) => {}
        () = read(api, reader, queue) => {}
    }
}

async fn write(mut writer: OwnedWriteHalf, mut waiting: Receiver<Line>) {
    while let Some(line) = waiting.recv().await {
        if writer.write_all(line.as_bytes()).await.is_err() {
            break;
        }
    }
}

async fn read(api: VeilidAPI, reader: OwnedReadHalf, queue: Sender<Line>) {
    // routing contexts and the like belong to the connection, and so do routes
    let processor = JsonRequestProcessor::new(api.clone());
    let routes = Routes::new(api);
    let running = Arc::new(Semaphore::new(RUNNING_MAX));
    let mut reader = BufReader::new(reader);
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        match (&mut reader).take(LINE_MAX).read_until(b'\n', &mut bytes).await {
            Ok(_) if bytes.ends_with(b"\n") => {}
            Ok(0) | Err(_) => break,
            Ok(_) => {
                eprintln!("veilid-node: a client's line was cut or too long; it was given up");
                break;
            }
        }
        if bytes.trim_ascii().is_empty() {
            continue;
        }
        let request: Request = match serde_json::from_slice(&bytes) {
            Ok(request) => request,
            // where, not what: there may be a key in it
            Err(e) => {
                let at = e.column();
                eprintln!("veilid-node: a client's line is no request (byte {at}); it was given up");
                break;
            }
        };
        let Ok(turn) = running.clone().acquire_owned().await else {
            break;
        };
        let (processor, queue, routes) = (processor.clone(), queue.clone(), routes.watcher());
        tokio::spawn(async move {
            // boxed: these futures are large
            let response = Box::pin(processor.process_request(request)).await;
            routes.see(&response);
            let _ = queue.send(line(&RecvMessage::Response(response))).await;
            drop(turn);
        });
    }
}
