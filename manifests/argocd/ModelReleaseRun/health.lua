-- Health of a ModelReleaseRun for Argo CD. It is a child of the release, so it never changes the application's
-- health: it colours the tree. Run by Argo CD without the libraries string and math.

local status = obj.status
if status == nil or status.phase == nil then
  return { status = "Progressing", message = "The run is about to start." }
end

local function told(health)
  local message = status.message
  if message == nil or message == "" then
    message = status.outcome or status.phase
  end
  return { status = health, message = message }
end

if status.phase ~= "Done" then
  return { status = "Progressing", message = status.phase }
end
if status.outcome == "RolledBack" or status.outcome == "Rejected" then
  return told("Degraded")
end
-- Promoted; or Superseded and Cancelled, which say nothing about the revision.
return told("Healthy")
