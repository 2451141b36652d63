module go_resolver

go 1.18
