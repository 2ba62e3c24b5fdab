/** The microphone, or why there is none. */

export type MicrophoneFault = 'missing' | 'denied' | 'none';

export class MicrophoneError extends Error {
  constructor(readonly fault: MicrophoneFault) {
    super(fault);
    this.name = 'MicrophoneError';
  }
}

/** @throws MicrophoneError */
export async function openMicrophone(
  constraints: MediaTrackConstraints = {},
): Promise<MediaStream> {
  // Not there on plain HTTP, whatever the types say.
  const devices = navigator.mediaDevices as MediaDevices | undefined;
  if (!devices) throw new MicrophoneError('missing');
  try {
    return await devices.getUserMedia({ audio: constraints });
  } catch (error) {
    const denied = error instanceof DOMException && error.name === 'NotAllowedError';
    throw new MicrophoneError(denied ? 'denied' : 'none');
  }
}
