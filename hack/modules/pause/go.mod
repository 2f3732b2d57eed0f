module modelrelease/hack/modules/pause

go 1.26.0
