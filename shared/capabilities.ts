// What a request may need beyond text, and a deployment may be able to do, by the names that configuration uses.

export const capabilityNames = ['tools', 'vision', 'audio', 'documents', 'json', 'json_schema'] as const;

export type Capability = (typeof capabilityNames)[number];

export function isCapability(name: string): name is Capability {
  return (capabilityNames as readonly string[]).includes(name);
}
