if candidate == nil or status.phase ~= "AwaitingApproval" then
  error("nothing waits for an approval", 0)
end
local stage = obj.spec.strategy and obj.spec.strategy.approval
for _, condition in ipairs(status.conditions or {}) do
  if condition.type == "Paused" and condition.reason == "SloInfeasible" then
    stage = "Infeasible"
  end
end
if stage == nil or stage == "None" then
  error("the strategy asks for no approval", 0)
end
put("approvals", { revision = candidate, stage = stage, reason = why }, "stage")
return obj
