modul example.com/app
