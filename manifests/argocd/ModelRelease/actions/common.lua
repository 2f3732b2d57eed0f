-- Every action begins with this. It changes spec.override, which Git never holds, and nothing else.

local status = obj.status or {}
if status.observedGeneration ~= obj.metadata.generation then
  error("the operator has not looked at the latest change yet: try again", 0)
end
obj.spec.override = obj.spec.override or {}
local override = obj.spec.override
local candidate = status.candidate and status.candidate.revision
local stable = status.stable and status.stable.revision

local why = actionParams and actionParams["reason"]
if why == nil or why == "" then
  why = "by an action in Argo CD"
end

-- Put an entry into a list of the override, in the place of the one that says something about the same.
local function put(field, entry, key)
  local kept = {}
  for _, other in ipairs(override[field] or {}) do
    if other.revision ~= entry.revision or (key ~= nil and other[key] ~= entry[key]) then
      table.insert(kept, other)
    end
  end
  table.insert(kept, entry)
  override[field] = kept
end
