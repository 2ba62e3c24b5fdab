/** What the page knows of its server: whether it is there, which models it has. */
import { getJson } from './client';
import { ApiError } from './errors';
import type { Health, ServerModels } from './types';

const CALM_MS = 30_000;
const GONE_MS = 3_000;
const DEMO = 'demo_model';

class Server {
  health = $state.raw<Health | null>(null);
  models = $state.raw<ServerModels | null>(null);
  /** False once a request found nobody. */
  reachable = $state(true);
  #timer: ReturnType<typeof setTimeout> | undefined;

  get demo(): boolean {
    return this.health?.warnings.some((warning) => warning.code === DEMO) ?? false;
  }

  begin(): void {
    void this.#watch();
    void this.refreshModels();
  }

  /** Look again now, because a request failed or the user asks. */
  check(): void {
    clearTimeout(this.#timer);
    void this.#watch();
  }

  async refreshModels(): Promise<void> {
    try {
      this.models = await getJson<ServerModels>('v1/server/models');
    } catch {
      // Without the list, the default model is all there is to choose; the banners say why.
    }
  }

  async #watch(): Promise<void> {
    const wasThere = this.reachable;
    try {
      this.health = await getJson<Health>('health');
      this.reachable = true;
      if (!wasThere) void this.refreshModels();
    } catch (error) {
      this.reachable = !(error instanceof ApiError && error.kind === 'unreachable');
    }
    this.#timer = setTimeout(() => void this.#watch(), this.reachable ? CALM_MS : GONE_MS);
  }
}

export const server = new Server();
