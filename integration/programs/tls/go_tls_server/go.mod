module go_tls_server

go 1.16
