/** The answers of /v1/server and /v1/keys, as docs/api.md and docs/keys.md describe them. */

export interface Status {
  version: string;
  uptime_s: number;
  ready: boolean;
  not_ready_reason: string | null;
  draining: boolean;
  device: string;
  compute_type: string;
  encoder: string | null;
  default_model: string;
  processor: {
    name: string;
    cores: number;
    server_percent: number | null;
    machine_percent: number | null;
  };
  memory: {
    server_bytes: number;
    models_bytes: number;
    machine_total_bytes: number;
    machine_available_bytes: number;
  };
  gpus: { name: string; memory_total_bytes: number; memory_used_bytes: number }[];
  queue: { running: number; waiting: number; max_running: number; max_waiting: number };
  live: { sessions: number; max_sessions: number };
  totals: { requests: number; audio_s: number; errors: number; cache_hits: number };
  real_time_factor: number | null;
}

export interface Pull {
  state: 'running' | 'done' | 'failed' | 'cancelled';
  phase: 'download' | 'verify';
  done_bytes: number;
  total_bytes: number;
  error: string | null;
}

export interface Model {
  id: string;
  aliases: string[];
  source: 'bundled' | 'folder' | 'cache' | null;
  on_disk: boolean;
  disk_bytes: number | null;
  download_bytes: number | null;
  loaded: boolean;
  loading: boolean;
  users: number;
  memory_bytes: number | null;
  default: boolean;
  demo: boolean;
  languages: string[] | null;
  pull: Pull | null;
}

export const SCOPES = ['transcribe', 'live', 'jobs', 'admin'] as const;
export type Scope = (typeof SCOPES)[number];

export interface Limits {
  requests_per_minute: number | null;
  audio_minutes_per_day: number | null;
  parallel_requests: number | null;
}

export interface Key {
  id: string;
  name: string;
  preview: string;
  scopes: Scope[];
  limits: Limits;
  created_at: number;
  expires_at: number | null;
  last_used_at: number | null;
  request_count: number;
  audio_minutes_today: number;
  /** The secret; in the answer that makes it only. */
  key?: string;
}

export interface KeyWish {
  name: string;
  scopes: Scope[];
  expires_at: number | null;
  limits: Limits;
}
